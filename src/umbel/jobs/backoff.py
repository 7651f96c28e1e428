"""How long to wait before each next try: exponentially, by a list, or always the same. Pure.

The steps of :class:`Exponential` never shrink and never pass its ``max``; jitter is added by whoever waits
(:meth:`umbel.Retry.delay`), so that what is declared can be read as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from umbel.durations import duration
from umbel.errors import ConfigurationError

__all__ = ("Backoff", "Exponential", "Steps", "backoff_of", "exponential", "span")

_LONGEST: Final = timedelta(days=365)


class Backoff(Protocol):
    """What says how long to wait."""

    def step(self, number: int) -> timedelta:
        """Return how long to wait before try ``number``, counted from 0, without jitter."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """``first``, then ``factor`` times as long each time, never longer than ``max``."""

    first: timedelta
    max: timedelta
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not timedelta(0) < self.first <= self.max:
            raise ConfigurationError(
                f"exponential({_text(self.first)!r}, max={_text(self.max)!r}): the first pause must be above 0 and not "
                'above max; write it like exponential("10s", max="10m").'
            )
        if not (isinstance(self.factor, (int, float)) and math.isfinite(self.factor) and self.factor >= 1):
            raise ConfigurationError(f"exponential(factor={self.factor!r}): pauses may not shrink; write 1 or more.")

    def step(self, number: int) -> timedelta:
        """Return ``first * factor ** number``, at most ``max``."""
        try:
            times = float(self.factor) ** number
        except OverflowError:
            return self.max
        return min(self.first * min(times, self.max / self.first), self.max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Each pause in turn; the last one is repeated."""

    pauses: tuple[timedelta, ...]

    def step(self, number: int) -> timedelta:
        """Return the pause of this number."""
        return self.pauses[min(number, len(self.pauses) - 1)]


def exponential(first: object, *, max: object = "1h", factor: float = 2.0) -> Exponential:
    """Return pauses that grow: ``exponential("1m", max="10m")`` waits 1, 2, 4, 8, 10, 10 … minutes.

    ``first`` and ``max`` are durations (``timedelta``, seconds or ``"10m"``). Raises :exc:`ConfigurationError`.
    """
    return Exponential(first=span(first, "exponential(first)"), max=span(max, "exponential(max=)"), factor=factor)


def backoff_of(value: Any, place: str) -> Backoff:
    """Return ``value`` as pauses: a backoff, a duration, or a sequence of durations."""
    if isinstance(value, (Exponential, Steps)):
        return value
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if not value:
            raise ConfigurationError(f"{place} is empty: give it at least one pause, like [10, 30, 60].")
        return Steps(pauses=tuple(span(one, place) for one in value))
    if callable(getattr(value, "step", None)):
        own: Backoff = value
        return own
    return Steps(pauses=(span(value, place),))


def span(value: object, place: str) -> timedelta:
    """Return ``value`` as a duration of at most a year. Raises :exc:`ConfigurationError` that names the place."""
    try:
        found = duration(value)
    except ValueError as error:
        raise ConfigurationError(f"{place}: {error}") from None
    if found > _LONGEST:
        raise ConfigurationError(f"{place}: {value!r} is longer than a year, which no retry waits.")
    return found


def _text(value: timedelta) -> str:
    return f"{value.total_seconds():g}s"
