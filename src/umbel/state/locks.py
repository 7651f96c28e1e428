"""Locks by name that end by themselves: what stands behind ``WithoutOverlap`` and ``Umbel.lock`` (C31).

A lock is a lease: it ends when it is not renewed, by the store's clock. Each grant has a fencing number, larger than
all before it, by which whoever is asked to act on the lock's word can refuse a holder that has lost it (M. Kleppmann,
*How to do distributed locking*, 2016). Costs: one round trip to acquire any number, one to release them, and one for
all of a process's locks to renew them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ("Grant", "Locks", "Want")


@dataclass(frozen=True, slots=True)
class Want:
    """One ask of :meth:`Locks.acquire_many`. ``most``: how many may have it at a time, where that is said."""

    name: str
    owner: str
    seconds: float
    waiter: str | None = None
    most: int = 1


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a :class:`Want`: a fencing number, or 0 if another has it; and for how many seconds."""

    fence: int
    seconds: float
    owner: str


class Locks(Protocol):
    """The locks of one store."""

    def acquire(self, name: str, owner: str, seconds: float, *, waiter: str | None = None) -> Grant:
        """Take the lock for ``seconds`` if it is free, or ``owner``'s already, who then has it under a new number.

        ``waiter``: the id of a job that waits otherwise. When the lock is released the first of those that wait,
        delayed, is due at once, where the store holds the messages itself.
        """
        return self.acquire_many([Want(name, owner, seconds, waiter)])[0]

    def acquire_many(self, wants: Sequence[Want]) -> list[Grant]:
        """Answer each of ``wants`` as :meth:`acquire` does, in their order, in one step."""
        raise NotImplementedError

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let locks, given as (name, fencing number), last for another ``seconds``; False for one that was lost."""

    def release(self, name: str, fence: int) -> bool:
        """Free the lock; False if it had been lost."""
        return self.release_many([(name, fence)])[0]

    def release_many(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Free locks, given as (name, fencing number), in one step; False for one that had been lost."""
        raise NotImplementedError

    def holder(self, name: str) -> Grant | None:
        """Return who has the lock; None when it is free."""
