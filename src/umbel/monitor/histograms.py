"""Histograms with fixed buckets: how long jobs waited and ran, so that any two can be added.

A bucket's upper bound is the square root of two times that of the one before it, from a millisecond to more than a
week, so a quantile is off by less than a fifth. Kept as JSON, without the empty buckets at the end.
"""

from __future__ import annotations

import bisect
import math
import operator
from collections.abc import Iterable
from typing import Final

import msgspec

__all__ = ("BOUNDS", "Histogram")

#: Upper bounds in seconds; what is above the last one is counted in one more bucket.
BOUNDS: Final = tuple(0.001 * math.sqrt(2) ** number for number in range(60))

_decode: Final = msgspec.json.Decoder(list[int]).decode
_encode: Final = msgspec.json.Encoder().encode


class Histogram:
    """How often each length of time was seen."""

    __slots__ = ("counts",)

    def __init__(self, counts: Iterable[int] = ()) -> None:
        self.counts: list[int] = [*counts]

    @classmethod
    def of(cls, text: str) -> Histogram:
        """Return what :meth:`as_text` has written."""
        return cls(_decode(text))

    def as_text(self) -> str:
        """Return it as it is kept."""
        return _encode(self.counts).decode()

    def count(self, seconds: float) -> None:
        """Count one length of time."""
        at = bisect.bisect_left(BOUNDS, seconds)
        if at >= len(self.counts):
            self.counts.extend([0] * (at + 1 - len(self.counts)))
        self.counts[at] += 1

    def add(self, other: Histogram) -> None:
        """Add what another one has counted."""
        mine, more = self.counts, other.counts
        if len(mine) < len(more):
            mine.extend([0] * (len(more) - len(mine)))
        mine[: len(more)] = map(operator.add, mine, more)

    @property
    def total(self) -> int:
        """How many lengths it has counted."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Return the length in seconds that ``share`` of all do not exceed; None when there is none."""
        wanted = share * self.total
        if not self.total:
            return None
        below = 0
        for at, number in enumerate(self.counts):
            if number and below + number >= wanted:
                low = BOUNDS[at - 1] if at else 0.0
                high = BOUNDS[min(at, len(BOUNDS) - 1)]
                return low + max(0.0, high - low) * (wanted - below) / number
            below += number
        raise AssertionError("a share of all is within all")
