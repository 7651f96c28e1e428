"""Lua, one script a file beside this one; ``keys.lua`` is what each begins with."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Final

__all__ = ("SPACE", "digest", "source")

#: How the keys of Umbel's own structures begin, where Redis is the broker too.
SPACE: Final = "umbel:"

#: The scripts of a state store beside another broker begin with what they share.
_STATE = "state_"
#: What some share beside that.
_ALSO: Final = {
    "unique_enqueue": "unique_keys.lua",
    "unique_holder": "unique_keys.lua",
    "tick": "unique_keys.lua",
    "state_unique": "state_unique_keys.lua",
    "state_unique_holder": "state_unique_keys.lua",
    "state_tick": "state_unique_keys.lua",
    "keep": "counter_keys.lua",
    "settle": "counter_keys.lua",
    "state_settle": "counter_keys.lua",
    "batch_open": "counter_keys.lua",
    "batch_add": "counter_keys.lua",
    "batch_turn": "counter_keys.lua",
    "state_batch_add": "counter_keys.lua",
    "state_batch_turn": "counter_keys.lua",
    "effect_claim": "effect_keys.lua",
    "effect_renew": "effect_keys.lua",
    "effect_end": "effect_keys.lua",
    "effect_resolve": "effect_keys.lua",
    "lock_release": "waits.lua",
    "slot_acquire": "waits.lua",
    "slot_release": "waits.lua",
    "limit_reserve": "limit_keys.lua",
    "limit_give_back": "limit_keys.lua",
}


@cache
def source(name: str, space: str = SPACE) -> str:
    """Return the whole text of script ``name``; ``space`` is how the keys of Umbel's own structures begin."""
    shared = _read("keys.lua") + (_read("state_keys.lua") if name.startswith(_STATE) else "")
    shared += _read(_ALSO[name]) if name in _ALSO else ""
    return f"local SPACE = '{space}'\n" + shared + _read(f"{name}.lua")


@cache
def digest(name: str, space: str = SPACE) -> str:
    """Return the name under which a server keeps script ``name``."""
    return hashlib.sha1(source(name, space).encode(), usedforsecurity=False).hexdigest()


def _read(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text("utf-8")
