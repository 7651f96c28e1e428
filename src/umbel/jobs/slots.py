"""A slot that a process holds of some that the fleet shares: a lock that several have (C34)."""

from __future__ import annotations

from typing import Any

from umbel.errors import LimitReached
from umbel.jobs.locks import Lock
from umbel.state.locks import Want

__all__ = ("Slot",)


class Slot(Lock):
    """One of ``most`` slots, for a ``with`` or ``async with`` block; renewed, fenced and released as any lock."""

    def __init__(self, *args: Any, most: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most = most

    def want(self, waiter: str | None) -> Want:
        """Return what to ask the store for."""
        return Want(self.name, self.owner, self.seconds, waiter, self._most)

    def _refusal(self, left: float) -> Exception:
        return LimitReached.of(self.name.removeprefix("named:"), left)
