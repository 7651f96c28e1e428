"""Slots that several share: what stands behind ``Concurrency`` (C34).

A lock that a number of owners may hold at a time; all else is as with :mod:`umbel.state.locks`: each grant is a lease
with a fencing number, larger than all before it, which ends when it is not renewed. Costs: one round trip to acquire
any number, one to release them, and one for all of a process's slots to renew them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from umbel.state.locks import Grant, Want

__all__ = ("WOKEN_SECONDS", "Slots")

#: For so long a slot that was freed is kept for the job that was woken for it: nobody who comes meanwhile overtakes it.
WOKEN_SECONDS: Final = 1.0


class Slots(Protocol):
    """The slots of one store."""

    def acquire(self, name: str, owner: str, seconds: float, *, most: int, waiter: str | None = None) -> Grant:
        """Take one of the ``most`` slots of ``name`` for ``seconds``; ``owner`` has its own again, under a new number.

        Without a free one the grant has no number, and tells when the first of them ends. ``waiter``: the id of a job
        that waits then. When a slot is released the first of those that wait, delayed, is due at once, where the store
        holds the messages itself.
        """
        return self.acquire_many([Want(name, owner, seconds, waiter, most)])[0]

    def acquire_many(self, wants: Sequence[Want]) -> list[Grant]:
        """Answer each of ``wants`` as :meth:`acquire` does, in their order, in one step."""
        raise NotImplementedError

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let slots, given as (name, fencing number), last for another ``seconds``; False for one that was lost."""

    def release(self, name: str, fence: int) -> bool:
        """Free a slot; False if it had been lost."""
        return self.release_many([(name, fence)])[0]

    def release_many(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Free slots, given as (name, fencing number), in one step; False for one that had been lost."""
        raise NotImplementedError

    def holders(self, name: str) -> list[Grant]:
        """Return who has the slots, the one that ends first first."""
