"""Replaying many dead letters with care: one, then five in a hundred, then all, unless too many fail again.

Between two steps it waits for the ends of those that were replayed; one that does not end in time stops it too. What is
not replayed stays as it was, so a canary that was stopped is begun again by another one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from typing import Final

from umbel.durations import duration
from umbel.engine.letters import ANY, DeadLetter, LetterFilter
from umbel.errors import ConfigurationError
from umbel.jobs.dead_letters import DeadLetters

__all__ = ("Canary", "CanaryEnd", "CanaryStep", "canary")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_BATCH: Final = 200


class CanaryEnd(StrEnum):
    """Why a canary has ended."""

    DONE = "done"
    #: Too many have failed again.
    FAILED = "failed"
    #: Some had not ended in time.
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """How many were replayed so far, and what has become of them."""

    replayed: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def pending(self) -> int:
        """How many have not ended."""
        return self.replayed - self.succeeded - self.failed

    @property
    def failure_rate(self) -> float:
        """Which part of those that have ended has failed."""
        ended = self.succeeded + self.failed
        return self.failed / ended if ended else 0.0


@dataclass(frozen=True, slots=True)
class Canary:
    """What became of a canary. ``left`` letters were not replayed."""

    end: CanaryEnd
    step: CanaryStep
    left: int


def canary(
    letters: DeadLetters,
    where: LetterFilter = ANY,
    *,
    steps: Sequence[int | float] = (1, 0.05),
    failure_rate: float = 0.1,
    patience: timedelta | str | float = "10m",
    upto: int | None = None,
    tell: Callable[[CanaryStep], object] = lambda step: None,
) -> Canary:
    """Replay the letters that fit in ``steps``, and then the rest, as long as no more than ``failure_rate`` fail again.

    A step is a number of letters, or below 1 the part of all that are replayed by then. ``patience``: how long a step's
    replays may take to end. ``upto``: no letter above this number. ``tell`` hears of each step, and ends the canary by
    what it raises. Raises :exc:`ConfigurationError`.
    """
    _check(steps, failure_rate)
    limit = duration(patience).total_seconds()
    resting = replace(where, replaying=False)
    total = sum(1 for _ in letters.walk(resting, upto=upto))
    source = letters.walk(resting, upto=upto)
    flight = _Flight(letters)
    for step in steps:
        wanted = step if isinstance(step, int) else math.ceil(step * total)
        flight.start(islice(source, max(0, wanted - flight.count)))
        seen = flight.wait(limit)
        tell(seen)
        if seen.failure_rate > failure_rate:
            return Canary(CanaryEnd.FAILED, seen, _left(total, flight))
        if seen.pending:
            return Canary(CanaryEnd.UNDECIDED, seen, _left(total, flight))
    return _rest(flight, source, total, failure_rate, tell)


def _rest(
    flight: _Flight,
    source: Iterator[DeadLetter],
    total: int,
    failure_rate: float,
    tell: Callable[[CanaryStep], object],
) -> Canary:
    """Replay what is left, in batches, and look each time at what has become of those before."""
    while batch := list(islice(source, _BATCH)):
        flight.start(iter(batch))
        seen = flight.look()
        tell(seen)
        if seen.failure_rate > failure_rate:
            return Canary(CanaryEnd.FAILED, seen, _left(total, flight))
    return Canary(CanaryEnd.DONE, flight.look(), 0)


def _left(total: int, flight: _Flight) -> int:
    return max(0, total - flight.count)


def _check(steps: Sequence[int | float], failure_rate: float) -> None:
    if not 0 <= failure_rate < 1:
        raise ConfigurationError(f"canary(failure_rate={failure_rate}) is no part of all: write 0.1 for one in ten.")
    for step in steps:
        if step <= 0 or (isinstance(step, float) and step >= 1):
            raise ConfigurationError(
                f"canary(steps=…): {step} is neither a number of letters (1, 10) nor a part of all (0.05)."
            )


class _Flight:
    """The letters whose replays were begun here."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters
        self._begun: dict[str, int] = {}
        self._succeeded = self._failed = 0
        self.count = 0

    def start(self, letters: Iterator[DeadLetter]) -> None:
        """Replay ``letters``."""
        done = self._letters.replay_these(letters)
        self._begun.update(done.numbers)
        self.count += done.count

    def look(self) -> CanaryStep:
        """Return what has become of them so far."""
        keys = list(self._begun)
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            self._sort(part, self._letters.current(part))
        return CanaryStep(self.count, self._succeeded, self._failed)

    def _sort(self, keys: Sequence[str], found: Mapping[str, DeadLetter]) -> None:
        for key in keys:
            letter = found.get(key)
            if letter is not None and letter.id == self._begun[key] and letter.replaying:
                continue
            # What was cancelled stays under its number, and says nothing about the rest.
            if letter is not None and letter.id != self._begun[key]:
                self._failed += 1
            else:
                self._succeeded += 1
            del self._begun[key]

    def wait(self, seconds: float) -> CanaryStep:
        """Return what has become of them when all have ended, or after so many seconds."""
        deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while True:
            seen = self.look()
            if not seen.pending or time.monotonic() >= deadline:
                return seen
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.3, _LONGEST_PAUSE)
