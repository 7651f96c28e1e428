"""Lua, one script a file beside this one; ``keys.lua`` is what each begins with."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

__all__ = ("digest", "source")


@cache
def source(name: str) -> str:
    """Return the whole text of script ``name``."""
    return _read("keys.lua") + _read(f"{name}.lua")


@cache
def digest(name: str) -> str:
    """Return the name under which a server keeps script ``name``."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


def _read(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text("utf-8")
