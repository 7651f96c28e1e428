"""Which start a job is granted or promised: the rule itself, for stores that are asked step by step (SQL).

A log has the times of all starts of one limit, those that were and those that are promised. A time *fits* when no
window that holds it would hold more than the count. *Firm* are those that were, and promises to jobs whose own time had
come and who still had to wait; a job whose time has come is held up by firm ones only. ``lua/limit_reserve.lua`` is the
same once more, to the last bit: all times are whole microseconds, and nothing adds up that one store writes down and
another does not.

Costs: some looks at the log a limit, each at as many times as the count at the most. From which time on a search has to
begin is remembered, so that a million promises are not passed over again and again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from umbel.state.limits import Ask, Rule, Start

__all__ = ("EARLY", "EPSILON", "Log", "Plan", "Waits", "adapt", "reserve", "rounded")

#: What times may differ by and be the same.
EPSILON: Final = 1e-6
#: Whoever comes so early comes at its time.
EARLY: Final = 0.001
#: After so many jumps or rounds a search takes what is certainly free, or nearly; a start is judged again anyway.
_JUMPS: Final = 1000
_ROUNDS: Final = 50


@dataclass(slots=True)
class Plan:
    """What is remembered of one log between two steps.

    ``full``, ``firm_full``: before that time nothing is free, beside all starts and beside firm ones. Of a bucket:
    when it would be full again (its theoretical arrival time) after what has started, firm promises, and all promises.
    """

    full: float = 0.0
    firm_full: float = 0.0
    started: float = 0.0
    firm: float = 0.0
    planned: float = 0.0


class Log(Protocol):
    """The starts of one limit."""

    rule: Rule
    plan: Plan

    def before(self, at: float, skipped: int, most: int, *, firm: bool) -> list[float]:
        """Return times up to ``at``, the latest first, without the first ``skipped``, at most ``most``."""

    def after(self, at: float, end: float, most: int, *, firm: bool) -> list[float]:
        """Return times after ``at`` and before ``end``, the earliest first, at most ``most``."""

    def put(self, at: float, owner: str, *, firm: bool, started: bool = False) -> None:
        """Note a start: one that is promised to ``owner``, or the one of the ask with this mark."""

    def drop(self, owner: str) -> None:
        """Forget what is noted by ``owner``."""


class Waits(Protocol):
    """Who waits for which start."""

    def take(self, ask: Ask) -> float | None:
        """Forget the start that was promised, and return its time."""

    def put(self, ask: Ask, at: float) -> None:
        """Note the start that is promised."""


def rounded(seconds: float) -> float:
    """Return a time to the microsecond."""
    return math.floor(seconds * 1e6 + 0.5) / 1e6


def reserve(ask: Ask, logs: Sequence[Log], waits: Waits, now: float) -> Start:
    """Grant a start at ``now``, or promise one. ``logs`` are those of the ask's limits that hold."""
    now = rounded(now)
    promised = waits.take(ask)
    for log in logs:
        log.drop(ask.owner)
        if ask.late:
            log.drop(ask.late)
    turn = bool(ask.late) or (promised is not None and promised <= now + EARLY)
    if all(_fits_now(log, now, turn) for log in logs):
        for log in logs:
            _start(log, ask.mark, now, turn)
        return Start(0.0, now, max(0.0, now - promised) if promised is not None and turn else 0.0)
    at = _earliest_of(logs, now, turn)
    kept = promised is not None and not turn and promised <= at
    if promised is not None and kept:
        # Too early. What it was promised is its own still.
        at = promised
    for log in logs:
        _promise(log, ask.owner, at, now, turn=turn, kept=kept)
    waits.put(ask, at)
    return Start(max(at - now, EPSILON), at)


def adapt(plan: Plan, rule: Rule, now: float) -> None:
    """Let a plan hold for ``rule``, which is another one than that by which it was made."""
    plan.full = plan.firm_full = 0.0
    if rule.burst:
        empty = rounded(now + rule.burst * rule.step)
        plan.started = min(plan.started, empty)
        plan.firm = plan.planned = plan.started


def _fits_now(log: Log, now: float, turn: bool) -> bool:
    rule, plan = log.rule, log.plan
    if rule.burst:
        return now >= (plan.started if turn else plan.planned) - (rule.burst - 1) * rule.step - EPSILON
    return _clash(log, now, rule.seconds + rule.slack, turn) is None


def _start(log: Log, mark: str, now: float, turn: bool) -> None:
    rule, plan = log.rule, log.plan
    if not rule.burst:
        log.put(now, mark, firm=True, started=True)
        return
    plan.started = rounded(max(plan.started, now) + rule.step)
    plan.firm = max(plan.firm, plan.started)
    if not turn:
        plan.planned = rounded(max(plan.planned, now) + rule.step)
    plan.planned = max(plan.planned, plan.firm)


def _promise(log: Log, owner: str, at: float, now: float, *, turn: bool, kept: bool) -> None:
    rule, plan = log.rule, log.plan
    if not rule.burst:
        log.put(at, owner, firm=turn)
    elif not kept and _earliest(log, now, now, turn) >= at - EPSILON:
        # Where another limit decides, the token is another one's until then.
        if turn:
            plan.firm = rounded(max(plan.firm, at) + rule.step)
        else:
            plan.planned = rounded(max(plan.planned, at) + rule.step)
        plan.planned = max(plan.planned, plan.firm)


def _earliest_of(logs: Sequence[Log], now: float, turn: bool) -> float:
    """Return the first time that fits all of ``logs``."""
    at = now
    for _ in range(_ROUNDS):
        before = at
        for log in logs:
            at = max(at, _earliest(log, at, now, turn))
        if at <= before + EPSILON:
            break
    return at


def _earliest(log: Log, at: float, now: float, turn: bool) -> float:
    """Return the first time from ``at`` on that fits ``log``."""
    rule, plan = log.rule, log.plan
    if rule.burst:
        return max(at, rounded((plan.firm if turn else plan.planned) - (rule.burst - 1) * rule.step))
    known = plan.firm_full if turn else plan.full
    # A search that begins where nothing before is free tells where the next one may begin.
    tells, found = at <= max(known, now) + EPSILON, max(at, known)
    span = rule.seconds + 1.5 * rule.slack
    for _ in range(_JUMPS):
        later = _clash(log, found, span, turn)
        if later is None:
            break
        found = rounded(later)
    if tells:
        if turn:
            plan.firm_full = found
        else:
            plan.full = found
    return found


def _clash(log: Log, at: float, span: float, firm: bool) -> float | None:
    """Return None if a start at ``at`` leaves no more than the count in any ``span``; else before when none fits."""
    count = log.rule.count
    after = log.after(at, rounded(at + span), count, firm=firm)
    skipped = max(count - len(after) - 1, 0)
    before = log.before(at, skipped, count - skipped, firm=firm)
    later = after[0] + span if len(after) == count else None
    for number, first in enumerate(before, skipped + 1):
        # As many as the count, without this one: ``number`` before it, and the rest after it.
        last = at if number == count else after[count - number - 1]
        if last - first < span - EPSILON:
            later = max(later or 0.0, first + span)
    return later
