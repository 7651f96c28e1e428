"""The points in time of a chart: evenly apart, in UTC."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ("Moments", "clock_text", "moment_text")

_DAY: Final = 86_400
#: Seconds between two labels.
_APART: Final = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, _DAY, 2 * _DAY, 7 * _DAY, 30 * _DAY)
_LABELS_MOST: Final = 6


@dataclass(frozen=True, slots=True)
class Moments:
    """``number`` stretches of ``step`` seconds each, the first one beginning at ``first`` (unix seconds)."""

    first: int
    step: int
    number: int

    @property
    def end(self) -> int:
        """When the last one ends."""
        return self.first + self.step * self.number

    def place(self, at: float) -> float:
        """Return where a moment is, as a part of the whole."""
        return (at - self.first) / max(1, self.end - self.first)

    def labels(self) -> Iterator[tuple[float, str]]:
        """Yield places of round moments with their texts, at most seven."""
        length = self.end - self.first
        apart = next((one for one in _APART if length <= one * _LABELS_MOST), max(_APART[-1], length // _LABELS_MOST))
        for at in range(-(-self.first // apart) * apart, self.end, apart):
            yield self.place(at), clock_text(at) if apart < _DAY else _day_text(at)

    def text(self, number: int) -> str:
        """Return when a stretch begins, as a table says it."""
        return moment_text(self.first + number * self.step, days=self.step >= _DAY)


def clock_text(at: float) -> str:
    """Return ``14:05``."""
    return time.strftime("%H:%M", time.gmtime(at))


def moment_text(at: float, *, days: bool = False, seconds: bool = False) -> str:
    """Return ``2026-01-31 14:05``, or only the day, or with seconds."""
    form = "%Y-%m-%d" if days else "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return time.strftime(form, time.gmtime(at))


def _day_text(at: float) -> str:
    return time.strftime("%m-%d", time.gmtime(at))
