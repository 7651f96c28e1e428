"""Lua, one script a file beside this one; ``keys.lua`` is what each begins with, as far as it is used.

A server makes all functions of a script anew each time it is called, so what a script does not need is left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final

__all__ = ("SPACE", "digest", "source")

#: How the keys of Umbel's own structures begin, where Redis is the broker too.
SPACE: Final = "umbel:"

#: The scripts of a state store beside another broker begin with what they share.
_STATE = "state_"
_REMARK: Final = re.compile(r"--.*")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_GIVEN: Final = re.compile(r"local (?:function (?P<function>\w+)|(?P<names>\w+(?:, *\w+)*))")
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
    own = _read(f"{name}.lua")
    return f"local SPACE = '{space}'\n" + _used(shared, own) + own


@cache
def digest(name: str, space: str = SPACE) -> str:
    """Return the name under which a server keeps script ``name``."""
    return hashlib.sha1(source(name, space).encode(), usedforsecurity=False).hexdigest()


def _used(shared: str, own: str) -> str:
    """Return what ``own`` needs of ``shared``, itself or by what it needs."""
    parts = list(_parts(shared))
    needed = _words(own)
    kept: set[int] = set()
    # What is needed stands before whoever needs it.
    for number, (names, text) in reversed(list(enumerate(parts))):
        if not names or names & needed:
            kept.add(number)
            needed |= _words(text)
    return "".join(text for number, (_, text) in enumerate(parts) if number in kept)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(_REMARK.sub("", text)))


def _parts(shared: str) -> Iterator[tuple[frozenset[str], str]]:
    """Yield what a text says at its top level, with the names that it gives; none for what is done in any case."""
    lines = iter(shared.splitlines(keepends=True))
    for line in lines:
        if line.startswith("--") or not line.strip():
            continue
        given = _GIVEN.match(line)
        text = line
        if given is not None and given["function"] and not line.rstrip().endswith(" end"):
            for more in lines:
                text += more
                if more.rstrip() == "end":
                    break
        names = given["function"] or given["names"] if given is not None else ""
        yield frozenset(_WORD.findall(names)), text


def _read(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text("utf-8")
