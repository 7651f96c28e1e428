"""Lanes at RabbitMQ: messages of shares are led to theirs, in the name of the queue that they are for.

What has no share goes where it is told to, and costs nothing. A message that is due later is led to the queue where
such ones arrive, and gets its lane from the worker that it comes to: who is in which lane by then nobody knows now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from umbel.engine.fairness import share_in
from umbel.engine.lanes import LaneBook, due_of, lane_of, lanes_of
from umbel.engine.rabbit_post import Parcel, Post
from umbel.engine.rabbit_wire import SUSPECTS

__all__ = ("RabbitLanes", "parts_of")


def parts_of(queue: str) -> list[str]:
    """Return the names of the queues that belong to a shared ``queue``, besides itself."""
    return [*lanes_of(queue), due_of(queue)]


class RabbitLanes:
    """Sends messages, each by the lane of its share."""

    def __init__(self, book: LaneBook, post: Post) -> None:
        self._book: Final = book
        self._post: Final = post
        #: The queues that have lanes, as far as this process knows.
        self.queues: set[str] = set()

    def look(self) -> None:
        """Ask which queues have lanes."""
        self.queues = self._book.queues()

    def home_of(self, name: str) -> str:
        """Return the queue to which ``name`` belongs."""
        return next((queue for queue in self._book.queues() if name in parts_of(queue)), name)

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Publish ``parcels`` durably. Raises :exc:`StoreError`; some of them may have been published then."""
        shares = [self._share(parcel) for parcel in parcels]
        if any(shares):
            parcels = self._led(parcels, shares)
        self._post.send(parcels)

    @staticmethod
    def _share(parcel: Parcel) -> str:
        # What an exchange routes is the broker's to place, and a suspect runs alone.
        if parcel.exchange or parcel.queue.endswith(SUSPECTS):
            return ""
        return share_in(parcel.envelope["headers"])

    def _led(self, parcels: Sequence[Parcel], shares: Sequence[str]) -> list[Parcel]:
        later = [self._is_later(parcel) for parcel in parcels]
        wanted: dict[str, dict[str, int]] = {}
        for parcel, share, waits in zip(parcels, shares, later, strict=True):
            if share and not waits:
                counts = wanted.setdefault(parcel.queue, {})
                counts[share] = counts.get(share, 0) + 1
        lanes = {queue: self._place(queue, counts) for queue, counts in wanted.items()}
        return [
            parcel
            if not share
            else replace(
                parcel, queue=due_of(parcel.queue) if waits else lane_of(parcel.queue, lanes[parcel.queue][share])
            )
            for parcel, share, waits in zip(parcels, shares, later, strict=True)
        ]

    def _is_later(self, parcel: Parcel) -> bool:
        return parcel.due is not None and self._post.delays.target(parcel.queue, parcel.due) is not None

    def _place(self, queue: str, counts: dict[str, int]) -> dict[str, int]:
        self.queues = self.queues | {queue}
        found = self._book.place(queue, counts)
        if found is None:
            found = self._book.place(queue, counts, self._post.lengths(lanes_of(queue)))
        return dict(zip(counts, found or (), strict=True))

    # -- as one queue -----------------------------------------------------------------------------------------

    def sizes(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return (messages ready, consumers) of those queues that exist, what is in their lanes included."""
        known, shared = list(names), self._book.queues()
        parts = {name: parts_of(name) for name in known if name in shared}
        found = self._post.sizes([*known, *(part for group in parts.values() for part in group)])
        return {name: _as_one(name, parts.get(name, ()), found) for name in known if name in found}

    def purge(self, name: str) -> int:
        """Drop what is ready in a queue and its lanes; return how many that were."""
        parts = parts_of(name) if name in self._book.queues() else ()
        return sum(self._post.purge(part) for part in (name, *parts))

    def sweep(self) -> None:
        """Forget the shares of which nothing waits."""
        for queue in self._book.queues():
            self._book.place(queue, {}, self._post.lengths(lanes_of(queue)))
            self._book.sweep(queue)


def _as_one(name: str, parts: Iterable[str], found: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    sizes = [found.get(part, (0, 0)) for part in (name, *parts)]
    # A process that is busy for long consumes what comes due and nothing else.
    return sum(ready for ready, _ in sizes), max(sizes[0][1], sizes[-1][1])
