"""Lua, one script a file beside this one; ``keys.lua`` is what each begins with."""

from __future__ import annotations

from functools import cache
from importlib import resources

__all__ = ("source",)


@cache
def source(name: str) -> str:
    """Return the whole text of script ``name``."""
    return _read("keys.lua") + _read(f"{name}.lua")


def _read(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text("utf-8")
