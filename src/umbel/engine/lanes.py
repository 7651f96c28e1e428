"""Lanes: what waits for a shared queue at a broker that knows no shares stands in one of a few queues beside it.

A broker's queue is handed out in its order. So the jobs of one share go into one lane, and workers take from the lanes
in turn. Which lane that is, the state store decides: a share keeps its lane while something of it may wait there, which
keeps its jobs in their order; otherwise it gets the lane in which the least waits.

Nobody tells when a job leaves its lane. Each message that is put there has a number, and the length of the lane says up
to which number it has been worked off: so nothing is counted that could get lost, and what was purged or dropped by
the broker holds nobody back. Costs a look at the lanes' lengths twice a second at most, while somebody dispatches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

__all__ = ("LANES", "LOOK_SECONDS", "LaneBook", "LaneCounts", "due_of", "lane_of", "lanes_of")

#: With more shares than this that have something waiting, some of them meet in a lane.
LANES: Final = 16
#: How often somebody looks at the lanes' lengths, at most.
LOOK_SECONDS: Final = 0.5

_DUE: Final = ".fair.due"


def lane_of(queue: str, number: int) -> str:
    """Return the name of a lane of ``queue``."""
    return f"{queue}.fair.{number}"


def lanes_of(queue: str) -> list[str]:
    """Return the names of the lanes of ``queue``."""
    return [lane_of(queue, number) for number in range(LANES)]


def due_of(queue: str) -> str:
    """Return the name of the queue at which delayed messages arrive, before they get a lane of ``queue``."""
    return queue + _DUE


class LaneBook(Protocol):
    """Who has which lane, at a state store."""

    #: What was seen of the lanes' lengths counts for so long.
    look_seconds: float

    def queues(self) -> set[str]:
        """Return the queues that have lanes."""

    def place(self, queue: str, shares: Mapping[str, int], sizes: Sequence[int] | None = None) -> list[int] | None:
        """Return the lane of each share, into which so many of its messages are about to go.

        ``sizes``: how many messages are in the lanes just now. None when that is to be looked at first.
        """

    def sweep(self, queue: str) -> None:
        """Forget the shares of which nothing waits."""


@dataclass(slots=True)
class LaneCounts:
    """The lanes of one queue: numbers of messages, each counted within its lane."""

    #: Of the message that was put there last.
    tails: list[int] = field(default_factory=lambda: [0] * LANES)
    #: Up to which nothing waits any more.
    heads: list[int] = field(default_factory=lambda: [0] * LANES)
    #: The tails when somebody looked last: what has been put there since may not have arrived.
    before: list[int] = field(default_factory=lambda: [0] * LANES)
    looked: float = 0.0

    def is_old(self, now: float, seconds: float) -> bool:
        """Whether somebody is to look at the lanes, because a look counts for ``seconds``."""
        return not 0.0 <= now - self.looked < seconds

    def look(self, sizes: Sequence[int], now: float) -> None:
        """Note how many messages are in each lane."""
        self.heads = [min(tail - size, old) for tail, size, old in zip(self.tails, sizes, self.before, strict=True)]
        self.before = list(self.tails)
        self.looked = now

    def put(self, known: tuple[int, int] | None, count: int) -> tuple[int, int]:
        """Return (lane, number of its last message) of a share after ``count`` more; ``known`` is that before."""
        lane = known[0] if known is not None and self.waits(*known) else self._lightest()
        self.tails[lane] += count
        return lane, self.tails[lane]

    def waits(self, lane: int, number: int) -> bool:
        """Whether message ``number`` of a lane may wait there."""
        return number > self.heads[lane]

    def _lightest(self) -> int:
        return min(range(LANES), key=lambda lane: self.tails[lane] - self.heads[lane])
