"""Replaying many dead letters with care: one, then five in a hundred, then all, unless too many fail again.

Between two steps it waits for the ends of those that were replayed; one that does not end in time stops it too. What is
not replayed stays as it was, so a canary that was stopped is begun again by another one.

A :class:`CanaryPlan` is all that somebody needs who goes on with a canary, and :class:`CanaryWalk` goes on. Which
letters are replayed next stands in the plan before they are: whoever keeps each plan before the next step may end
anywhere, and who goes on finds out which of them had been begun. A step costs one look at what is on its way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from typing import Final

from umbel.durations import duration
from umbel.engine.letters import ANY, DeadLetter, LetterFilter
from umbel.errors import ConfigurationError
from umbel.jobs.dead_letters import DeadLetters

__all__ = ("Canary", "CanaryEnd", "CanaryPlan", "CanaryStep", "CanaryWalk", "Chosen", "canary", "canary_plan")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_BATCH: Final = 200
_STEPS: Final = (1, 0.05)


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


@dataclass(frozen=True, slots=True)
class Chosen:
    """A letter that is replayed: as it was read."""

    key: str
    number: int
    replays: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPlan:
    """What a canary is to do, and how far it is."""

    where: LetterFilter
    #: How many letters fitted when it began.
    total: int
    #: The letters from this number on have been chosen already.
    below: int
    steps: tuple[int | float, ...] = _STEPS
    failure_rate: float = 0.1
    #: For how many seconds the replays of a step may take.
    patience: float = 600.0
    #: Which of the steps it is at; behind the last one are all.
    stage: int = 0
    #: No letter is left to choose.
    exhausted: bool = False
    #: What is replayed next, or has been a moment ago.
    planned: tuple[Chosen, ...] = ()
    #: What was replayed, and has not ended as far as is known.
    flight: tuple[Chosen, ...] = ()
    step: CanaryStep = CanaryStep()
    end: CanaryEnd | None = None

    @property
    def left(self) -> int:
        """How many were not replayed."""
        return 0 if self.end is CanaryEnd.DONE else max(0, self.total - self.step.replayed)

    @property
    def wanted(self) -> int:
        """How many are to be replayed by the end of this stage."""
        part = self.steps[self.stage]
        return part if isinstance(part, int) else math.ceil(part * self.total)


def canary_plan(
    letters: DeadLetters,
    where: LetterFilter = ANY,
    *,
    steps: Sequence[int | float] = _STEPS,
    failure_rate: float = 0.1,
    patience: timedelta | str | float = "10m",
    upto: int | None = None,
) -> CanaryPlan:
    """Return the plan of a canary that has not begun; see :func:`canary`. Raises :exc:`ConfigurationError`."""
    _check(steps, failure_rate)
    limit = duration(patience).total_seconds()
    resting = replace(where, replaying=False)
    if upto is None:
        upto = max((letter.id for letter in letters.find(limit=1)), default=0)
    total = sum(1 for _ in letters.walk(resting, upto=upto))
    return CanaryPlan(
        where=resting, total=total, below=upto + 1, steps=tuple(steps), failure_rate=failure_rate, patience=limit
    )


def canary(
    letters: DeadLetters,
    where: LetterFilter = ANY,
    *,
    steps: Sequence[int | float] = _STEPS,
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
    plan = canary_plan(letters, where, steps=steps, failure_rate=failure_rate, patience=patience, upto=upto)
    walk, pause = CanaryWalk(letters, plan), _FIRST_PAUSE
    while plan.end is None:
        before, plan = plan, walk.go_on()
        in_rest = before.stage == len(before.steps)
        if plan.stage != before.stage or (before.planned if in_rest else plan.end):
            tell(plan.step)
        if plan == before:
            time.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)
        else:
            pause = _FIRST_PAUSE
    return Canary(plan.end, plan.step, plan.left)


def _check(steps: Sequence[int | float], failure_rate: float) -> None:
    if not 0 <= failure_rate < 1:
        raise ConfigurationError(f"canary(failure_rate={failure_rate}) is no part of all: write 0.1 for one in ten.")
    for step in steps:
        if step <= 0 or (isinstance(step, float) and step >= 1):
            raise ConfigurationError(
                f"canary(steps=…): {step} is neither a number of letters (1, 10) nor a part of all (0.05)."
            )


class CanaryWalk:
    """Goes on with a canary, one step at a time. A walk that somebody else began has its patience anew."""

    def __init__(self, letters: DeadLetters, plan: CanaryPlan) -> None:
        self._letters: Final = letters
        self.plan = plan
        self._waits_since: float | None = None

    def go_on(self) -> CanaryPlan:
        """Do what is next, without waiting, and return the plan, which is to be kept before the next step."""
        plan = self.plan
        if plan.end is None:
            plan = self._begun(plan) if plan.planned else self._seen(plan)
            if not (self.plan.planned or plan.end):
                plan = self._moved(plan)
            elif plan.stage == len(plan.steps):
                # All that is left goes in batches, and each time it is looked at what has become of those before.
                plan = self._seen(plan)
        self.plan = plan
        return plan

    def _begun(self, plan: CanaryPlan) -> CanaryPlan:
        """Replay what is planned, but for what was replayed already by whoever planned it."""
        found = self._letters.current([one.key for one in plan.planned])
        fresh = [found[one.key] for one in plan.planned if one.key in found and _is_untouched(found[one.key], one)]
        done = self._letters.replay_these(fresh)
        refused = {letter.key for letter in fresh} - done.numbers.keys()
        begun = tuple(one for one in plan.planned if one.key not in refused)
        step = replace(plan.step, replayed=plan.step.replayed + len(begun))
        return replace(plan, planned=(), flight=(*plan.flight, *begun), step=step)

    def _seen(self, plan: CanaryPlan) -> CanaryPlan:
        """Look at what has become of those that were replayed."""
        going: list[Chosen] = []
        succeeded = failed = 0
        for start in range(0, len(plan.flight), _BATCH):
            part = plan.flight[start : start + _BATCH]
            found = self._letters.current([one.key for one in part])
            for one in part:
                ended = _end_of(found, one)
                if ended is None:
                    going.append(one)
                succeeded += ended is True
                failed += ended is False
        if not (succeeded or failed):
            return plan
        step = replace(plan.step, succeeded=plan.step.succeeded + succeeded, failed=plan.step.failed + failed)
        return replace(plan, flight=tuple(going), step=step)

    def _moved(self, plan: CanaryPlan) -> CanaryPlan:
        """Choose what is next, or decide what this stage has shown."""
        fails = plan.step.failure_rate > plan.failure_rate
        if plan.stage == len(plan.steps):
            if fails:
                return replace(plan, end=CanaryEnd.FAILED)
            return replace(plan, end=CanaryEnd.DONE) if plan.exhausted else self._chosen(plan, _BATCH)
        missing = plan.wanted - plan.step.replayed
        if missing > 0 and not plan.exhausted:
            return self._chosen(plan, min(missing, _BATCH))
        if self._waits_since is None:
            self._waits_since = time.monotonic()
        if plan.step.pending and time.monotonic() - self._waits_since < plan.patience:
            return plan
        self._waits_since = None
        if fails:
            return replace(plan, end=CanaryEnd.FAILED)
        return replace(plan, end=CanaryEnd.UNDECIDED) if plan.step.pending else replace(plan, stage=plan.stage + 1)

    def _chosen(self, plan: CanaryPlan, most: int) -> CanaryPlan:
        page = list(islice(self._letters.walk(plan.where, upto=plan.below - 1), most))
        chosen = tuple(Chosen(letter.key, letter.id, letter.replays) for letter in page)
        below = page[-1].id if page else plan.below
        return replace(plan, planned=chosen, below=below, exhausted=len(page) < most)


def _is_untouched(letter: DeadLetter, chosen: Chosen) -> bool:
    return letter.id == chosen.number and letter.replays == chosen.replays and not letter.replaying


def _end_of(found: Mapping[str, DeadLetter], chosen: Chosen) -> bool | None:
    """Return whether a replay has succeeded; None as long as it goes on."""
    letter = found.get(chosen.key)
    if letter is None:
        return True
    if letter.id != chosen.number:
        return False
    # What was cancelled stays under its number, and says nothing about the rest.
    return None if letter.replaying else True
