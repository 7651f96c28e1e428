"""Keys that one job has at a time: what stands behind ``Unique``.

A key belongs to a job for as long as the store knows the job's message: until its end, or until a worker takes it.
So nobody has to give one back, and a process that dies leaves none locked: the message goes back, and the key with it.
Taking the key and queueing the message is one step. Costs: one round trip a batch, in place of the one that queues it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from umbel.engine.store import Engine, Outgoing

__all__ = ("UniqueKey", "Uniques", "queue_all")


class UniqueKey(Struct, frozen=True, gc=False):
    """A message's key. It is free again after ``seconds`` in any case."""

    name: str
    seconds: float
    #: Until a worker takes the message; otherwise until the job has ended.
    until_start: bool = False


class Uniques(Protocol):
    """The keys of one store."""

    def enqueue(self, messages: Sequence[Outgoing]) -> list[str]:
        """Queue each message unless another job has its key; return for each the id of the job that has it.

        A message without a key is queued in any case.
        """

    def supersede(self, message: Outgoing, longest: float | None = None) -> bool:
        """Put ``message`` in the place of the one of its id, which has its key until it starts, and waits.

        With ``due`` it waits until then, but no longer than ``longest`` seconds from when the first was queued.
        False if there is none any more.
        """

    def holder(self, name: str) -> str | None:
        """Return the id of the job that has the key ``name``; None if it is free."""


def queue_all(engine: Engine, messages: Sequence[Outgoing]) -> None:
    """Queue what was collected; of messages with a key, those whose key is free."""
    if any(message.unique for message in messages):
        engine.uniques.enqueue(messages)
    else:
        engine.enqueue(messages)
