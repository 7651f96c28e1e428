"""Single keys from a terminal, without Enter, while something else is shown on it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ("keys",)

_ESCAPE: Final = b"\x1b"
_NAMES: Final = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down", b" ": "space", b"\x1b": "q"}


@contextlib.contextmanager
def keys() -> Iterator[Callable[[float], str | None]]:
    """Yield a function that waits up to so many seconds for a key; None when there was none.

    A key is its own letter, or ``up``, ``down``, ``space``. Without a terminal to type on it only waits.
    """
    descriptor = sys.stdin.fileno()
    if not os.isatty(descriptor):
        yield lambda seconds: _read(None, seconds)
        return
    before = termios.tcgetattr(descriptor)
    # What was typed already counts.
    tty.setcbreak(descriptor, termios.TCSANOW)
    try:
        yield lambda seconds: _read(descriptor, seconds)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read(descriptor: int | None, seconds: float) -> str | None:
    ready, _, _ = select.select([] if descriptor is None else [descriptor], [], [], max(0.0, seconds))
    if not ready or descriptor is None:
        return None
    typed = os.read(descriptor, 1)
    if typed == _ESCAPE and select.select([descriptor], [], [], 0.02)[0]:
        typed += os.read(descriptor, 2)
    # Nobody types any more when it gives nothing.
    return _NAMES.get(typed, typed.decode(errors="replace")) if typed else "q"
