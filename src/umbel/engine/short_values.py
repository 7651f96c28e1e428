"""Values that say themselves: a few short plain ones, for which no encoder and no representation has to think.

Most jobs have no other arguments. Celery walks a value to represent it, and the standard encoder is made anew for each.
"""

from __future__ import annotations

from typing import Any, Final

from celery.utils.saferepr import saferepr

__all__ = ("are_short", "represented")

_REPR_MOST: Final = 1024
_FEW: Final = 8


def represented(value: Any) -> str:
    """Return how Celery represents ``value`` in a message."""
    return repr(value) if are_short(value) else str(saferepr(value, _REPR_MOST))


def are_short(values: Any) -> bool:
    """Whether nothing in a list or tuple is nested, escaped or cut, or holds a comma."""
    return isinstance(values, (list, tuple)) and len(values) <= _FEW and all(map(_is_short, values))


def _is_short(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(-1_000_000_000 < value < 1_000_000_000)
    if kind is str:
        return len(value) < 64 and value.isascii() and value.isalnum()
    return value is None or kind is bool
