"""Signals as bytes in a pipe, so that a loop handles them between two steps, and never within one."""

from __future__ import annotations

import os
import signal
from typing import Any

__all__ = ("SignalPipe",)


class SignalPipe:
    """The numbers of the signals that have come."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """Return the descriptor that a loop waits for."""
        return self._read

    def install(self, numbers: tuple[Any, ...]) -> None:
        """Take these signals; a name that this system does not know is passed over."""
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in numbers:
            found = getattr(signal, number, None) if isinstance(number, str) else number
            if found is not None:
                signal.signal(found, lambda *_: None)

    def read(self) -> list[int]:
        """Return what has come since the last call."""
        try:
            return list(os.read(self._read, 4096))
        except BlockingIOError:
            return []
