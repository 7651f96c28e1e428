"""Batches in a state store beside another broker: what a step queues stands in the outbox, and is to be published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from umbel.engine.batches import Plan, Tally
    from umbel.engine.state import Posted
    from umbel.engine.store import Outgoing, Record

__all__ = ("BatchBook",)


class BatchBook(Protocol):
    """The batches of a state store. ``token``: in whose name something is put into the outbox."""

    def open(self, plan: Plan) -> bool:
        """Begin a batch; False if it is there already."""

    def add(self, token: str, batch_id: str, messages: Sequence[Outgoing]) -> tuple[int, list[Posted]]:
        """Put jobs into the outbox as members; return how many were new, and what is to be published.

        Raises :exc:`BatchNotFound`, :exc:`BatchEnded`.
        """

    def turn(self, token: str, what: str, batch_id: str) -> tuple[bool, list[Posted]]:
        """Change a batch: ``close``, ``cancel`` or ``recount`` it; return whether that changed anything."""

    def stop(self, records: Sequence[Record]) -> None:
        """Cancel many jobs in one step; those that have ended stay."""

    def read(self, batch_id: str) -> Tally | None:
        """Return a batch as it is now."""

    def find(self, limit: int) -> list[Tally]:
        """Return the newest batches."""

    def stale(self, before: float, limit: int) -> list[Tally]:
        """Return batches that have not ended, and of which nothing was heard since ``before``."""

    def pending(self, batch_id: str) -> Iterator[list[tuple[str, bool]]]:
        """Yield the members that have not ended, and whether each has a message."""

    def sweep(self) -> None:
        """Drop what is kept no longer."""
