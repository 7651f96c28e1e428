"""Which scheduler leads, said at the store for whoever looks.

A leader says so by a lock of its application's name, which lasts fifteen seconds and is renewed every five; a leader
that has died is therefore shown for so long at most. Nothing depends on it: who leads is decided elsewhere.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from typing import Final

from umbel.state.locks import Locks

__all__ = ("Leading", "Presence", "leading")

_LASTS_SECONDS: Final = 15.0
_RENEW_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Leading:
    """The scheduler that leads. ``since`` is unix seconds."""

    host: str
    pid: int
    since: float


class Presence:
    """One scheduler's word that it leads."""

    def __init__(self, locks: Locks, application: str) -> None:
        self._locks: Final = locks
        self._name: Final = _name(application)
        self._owner = ""
        self._said = 0.0
        self._fence = 0

    def tell(self) -> None:
        """Say that this scheduler leads, unless that was said just now. Raises a :exc:`StoreError`."""
        now = time.monotonic()
        if self._owner and now - self._said < _RENEW_SECONDS:
            return
        self._owner = self._owner or json.dumps([socket.gethostname(), os.getpid(), time.time()])
        # An earlier leader's word may last for some seconds yet.
        self._fence = self._locks.acquire(self._name, self._owner, _LASTS_SECONDS).fence
        self._said = now

    def leave(self) -> None:
        """Say no more that it leads. Raises a :exc:`StoreError`."""
        fence, self._fence, self._owner = self._fence, 0, ""
        if fence:
            self._locks.release(self._name, fence)


def leading(locks: Locks, application: str) -> Leading | None:
    """Return the scheduler of ``application`` that leads; None where none has said so lately."""
    held = locks.holder(_name(application))
    if held is None:
        return None
    host, pid, since = json.loads(held.owner)
    return Leading(str(host), int(pid), float(since))


def _name(application: str) -> str:
    return f"scheduler:{application}"
