"""Starts under a limit, in a database: the logs that :mod:`umbel.state.planner` looks at, one transaction a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from umbel.state.limits import Ask, Limit, Rule, Start, Waiting
from umbel.state.planner import Plan, adapt, reserve

__all__ = ("PROMISE_SECONDS", "Statements", "changes", "give_back", "promised", "reserve_all", "waiting")

#: So long a job that does not come keeps its turn.
PROMISE_SECONDS: Final = 2_592_000.0


class Statements(Protocol):
    """One transaction's statements, by their names."""

    def rows(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""

    def do(self, name: str, *values: Any) -> int:
        """Run a statement and return how many rows it touched."""


class _SqlLog:
    """The starts of one limit."""

    def __init__(self, step: Statements, name: str, rule: Rule, now: float) -> None:
        self.name: Final = name
        self.rule = rule
        self._step: Final = step
        self._span: Final = rule.seconds + 2 * rule.slack
        step.do("limit_forget", name, now - self._span)
        found = step.rows("limit_plan", name)
        self.plan = Plan(*found[0][1:]) if found else Plan()
        if found and found[0][0] != _text(rule):
            adapt(self.plan, rule, now)
        self._last = now
        self._size: int | None = None

    def before(self, at: float, skipped: int, most: int, *, firm: bool) -> list[float]:
        if self._size is None:
            self._size = int(self._step.rows("limit_size", self.name)[0][0])
        if skipped >= self._size:
            # So a limit of a million does not pass over all that it has for each that asks.
            return []
        return [found for (found,) in self._step.rows(_which("limit_before", firm), self.name, at, most, skipped)]

    def after(self, at: float, end: float, most: int, *, firm: bool) -> list[float]:
        return [found for (found,) in self._step.rows(_which("limit_after", firm), self.name, at, end, most)]

    def put(self, at: float, owner: str, *, firm: bool, started: bool = False) -> None:
        ends = at + (self._span if started else PROMISE_SECONDS)
        self._last = max(self._last, at)
        self._size = None if self._size is None else self._size + 1
        self._step.do("limit_put", self.name, at, firm, started, owner, ends)

    def drop(self, owner: str) -> None:
        self._step.do("limit_drop", owner, self.name)

    def save(self) -> None:
        """Write what is remembered."""
        plan = self.plan
        ends = max(self._last, plan.planned) + self._span + PROMISE_SECONDS
        values = (plan.full, plan.firm_full, plan.started, plan.firm, plan.planned)
        self._step.do("limit_plan_put", self.name, _text(self.rule), *values, ends)


class _SqlWaits:
    """Who waits for which start."""

    def __init__(self, step: Statements) -> None:
        self._step = step

    def take(self, ask: Ask) -> float | None:
        latest: float | None = None
        for base in _bases(ask):
            for (at,) in self._step.rows("limit_waited", base, ask.owner):
                latest = max(latest or 0.0, at)
                self._step.do("limit_wait_end", base, ask.owner)
        return latest

    def put(self, ask: Ask, at: float) -> None:
        for base in _bases(ask):
            self._step.do("limit_wait_put", base, ask.owner, at)


def reserve_all(step: Statements, asks: Sequence[Ask], now: float) -> list[Start]:
    """Answer ``asks`` in their order, by the time ``now`` of the store."""
    changed, waits = changes(step), _SqlWaits(step)
    logs: dict[str, _SqlLog] = {}

    def log_of(limit: Limit) -> _SqlLog | None:
        rule = changed.get(limit.base, limit.rule)
        if not rule.count:
            return None
        if limit.name not in logs:
            logs[limit.name] = _SqlLog(step, limit.name, rule, now)
        return logs[limit.name]

    found = [reserve(ask, _some(map(log_of, ask.limits)), waits, now) for ask in asks]
    for log in logs.values():
        log.save()
    for base, lag in _lags(asks, found).items():
        step.do("limit_lag", base, lag)
    return found


def give_back(step: Statements, ask: Ask) -> None:
    """Forget what was promised to ``ask``."""
    promised = _SqlWaits(step).take(ask)
    for limit in ask.limits:
        step.do("limit_drop", ask.owner, limit.name)
        if promised is not None:
            # There is a place free now from which on no search began.
            step.do("limit_reopen", promised, limit.name, promised)


def changes(step: Statements) -> dict[str, Rule]:
    """Return the rules that were changed live."""
    return {base: Rule(count, seconds, burst) for base, count, seconds, burst in step.rows("limit_changes")}


def promised(step: Statements, owner: str, bases: Sequence[str]) -> dict[str, float]:
    """Return those of ``bases`` for a start under which ``owner`` waits, and when it has that."""
    return {base: at for base in bases for (at,) in step.rows("limit_waited", base, owner)}


def waiting(step: Statements, base: str, now: float) -> Waiting:
    """Return what waits for a limit."""
    ((jobs, last, lag),) = step.rows("limit_waiting", base)
    return Waiting(int(jobs), max(last - now, 0.0) if jobs else 0.0, float(lag))


def _lags(asks: Sequence[Ask], starts: Sequence[Start]) -> dict[str, float]:
    """Return by how much those came late that start now after they had waited, for each limit."""
    lags: dict[str, float] = {}
    for ask, start in zip(asks, starts, strict=True):
        for base in _bases(ask) if start.lag else ():
            lags[base] = max(lags.get(base, 0.0), start.lag)
    return lags


def _some(logs: Iterable[_SqlLog | None]) -> list[_SqlLog]:
    return [log for log in logs if log is not None]


def _bases(ask: Ask) -> list[str]:
    return sorted({limit.base for limit in ask.limits})


def _which(name: str, firm: bool) -> str:
    return f"{name}_firm" if firm else name


def _text(rule: Rule) -> str:
    return f"{rule.count} {rule.seconds} {rule.burst}"
