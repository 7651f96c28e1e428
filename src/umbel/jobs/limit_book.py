"""Which limits the jobs of an application are under, and what of them was changed live (C33).

A limit goes by its name: that of its task, ``route:PATTERN``, ``queue:NAME``, or the one that it was given. What is
changed stands in the store, holds for the whole fleet from the next start on, and outlives every restart. A worker
reads every few seconds which tasks have a limit only by such a change.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from umbel.errors import ConfigurationError, InvalidArguments
from umbel.jobs.keys import Key, key_of, unknown_names
from umbel.jobs.limits import Concurrency, RateLimit, TokenBucket
from umbel.jobs.rates import rate_text, rule_of
from umbel.state.limits import UNLIMITED, Ask, Limit, Limits, Rule

__all__ = ("LimitBook", "LimitStatus")

_REFRESH_SECONDS: Final = 5.0
_Arguments = Callable[[], tuple[Any, Any] | None]


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """One limit as it holds now. ``declared`` is what code says, None for nothing."""

    name: str
    limit: str
    declared: str | None
    changed: bool
    #: How many jobs wait for a start, and in how many seconds the last of them has it.
    waiting: int
    seconds: float
    #: By how many seconds those started late that had waited, last time.
    lag: float


@dataclass(frozen=True, slots=True)
class _Applied:
    """A rate that jobs are under."""

    base: str
    key: Key
    rule: Rule


class LimitBook:
    """The limits of one application: ``jobs.limits``."""

    def __init__(self, app: Any) -> None:
        self._app: Final = app
        self._queues: dict[str, list[tuple[str, RateLimit | TokenBucket]]] = {}
        self._changed: dict[str, Rule] = {}
        self._read = 0.0
        self._forget()
        #: What tasks were declared with, before anybody changed a running worker's.
        self._rates: dict[str, Any] = {}

    def _forget(self) -> None:
        self._of_task: dict[str, list[_Applied]] = {}
        self._patience: dict[str, float] = {}

    # -- declaring and changing -------------------------------------------------------------------------------

    def queue(self, queue: str, *limits: RateLimit | TokenBucket) -> None:
        """Limit the jobs of ``queue``, whatever their tasks are. Raises :exc:`ConfigurationError`."""
        for limit in limits:
            if not isinstance(limit, (RateLimit, TokenBucket)):
                raise ConfigurationError(f"Queue {queue!r}: {limit!r} is no rate; write RateLimit('100/m').")
        names = [one.name or (f"queue:{queue}" if not one.key else f"queue:{queue}:{one.key}") for one in limits]
        self._queues[queue] = list(zip(names, limits, strict=True))
        self._forget()

    def change(self, name: str, rate: Any, *, burst: int = 0) -> None:
        """Change the limit ``name`` for the whole fleet, until it is reset; a rate of 0 or ``"none"`` lifts it.

        For a :class:`umbel.Concurrency` the rate is the number of slots. A task, or a queue (``queue:NAME``), that has
        no limit gets one; ``named:NAME`` is what :meth:`umbel.Umbel.limit` says. Raises :exc:`ConfigurationError`.
        """
        known = dict(self._declared())
        if name not in known and name not in self._app.tasks and not name.startswith(("queue:", "named:")):
            names = ", ".join(sorted(known)) or "none"
            raise ConfigurationError(f"There is no limit and no task {name!r}; there are: {names}.")
        declared = known.get(name)
        try:
            rule = (
                UNLIMITED
                if rate in (0, "0", "none")
                else _slots(rate)
                if _is_slots(name, declared)
                else rule_of(rate, burst)
            )
        except ValueError as error:
            raise ConfigurationError(f"Limit {name!r}: {error}") from None
        self._app.engine.limits.change(name, rule)
        self._read = 0.0

    def reset(self, name: str) -> None:
        """Let what is declared hold again."""
        self._app.engine.limits.change(name, None)
        self._read = 0.0

    def control(self, task: str, rate: Any, limits: Limits) -> str | None:
        """Change a task's limit by a control command of Celery's; return why that is refused, None if it is not."""
        found = self._app.tasks.get(task)
        try:
            rule = rule_of(rate) if rate else UNLIMITED
        except ValueError as error:
            return f"Invalid rate limit string: {error}"
        if found is None:
            return "unknown task"
        self._celerys(found)
        nothing = not rule.count and task not in dict(self._declared())
        limits.change(task, None if nothing else rule)
        found.rate_limit = rate
        return None

    def status(self) -> list[LimitStatus]:
        """Return all limits that are declared or changed."""
        self.refresh(self._app.engine.limits)
        declared = dict(self._declared())
        names = sorted({*declared, *self._changed})
        waiting = self._app.engine.limits.waiting(names)
        return [self._status(name, declared.get(name), *each) for name, *each in zip(names, waiting, strict=True)]

    def _status(self, name: str, declared: Rule | None, waiting: Any) -> LimitStatus:
        rule = self._changed.get(name, declared) or UNLIMITED
        said = None if declared is None else rate_text(declared)
        return LimitStatus(
            name, rate_text(rule), said, name in self._changed, waiting.jobs, waiting.seconds, waiting.lag
        )

    def _declared(self) -> Iterator[tuple[str, Rule]]:
        for task in self._app.tasks.values():
            limited = _limited(task)
            for name, limit in limited.named(str(task.name)) if limited is not None else ():
                yield name, limit.rule
            rule = self._celerys(task)
            if rule is not None:
                yield str(task.name), rule
        for pattern, rule, _ in self._routes():
            yield f"route:{pattern}", rule
        for limits in self._queues.values():
            for name, rate in limits:
                yield name, rate.rule

    # -- what a worker asks -----------------------------------------------------------------------------------

    def refresh(self, limits: Limits) -> None:
        """Take up what was changed live, and what control commands have said."""
        self._changed = limits.changes()
        self._read = time.monotonic()
        self._forget()

    def _look(self) -> None:
        if time.monotonic() - self._read > _REFRESH_SECONDS:
            self.refresh(self._app.engine.limits)

    def names(self) -> tuple[set[str], set[str]]:
        """Return the tasks and the queues of which some job may be limited."""
        if self._app.conf.worker_disable_rate_limits:
            return set(), set()
        tasks = {name for name in self._app.tasks if self._applied(name)}
        changed = {base.removeprefix("queue:") for base in self._changed if base.startswith("queue:")}
        return tasks, {*self._queues, *changed}

    def ask(self, task: str, queue: str, owner: str, arguments: _Arguments, *, ready: bool = False) -> Ask | None:
        """Return what a job has to ask before it starts; None for nothing, or when it asks by itself.

        ``ready``: it has been granted whatever else it needs.
        """
        found = self._app.tasks.get(task)
        waits = found is not None and not ready and _asks_itself(found)
        return None if waits else self._ask(task, queue, owner, arguments)

    def ask_inside(self, task: Any, args: Any, kwargs: Any, *, late: str) -> Ask | None:
        """Return what a job has to ask whose body is about to start."""
        if self._app.conf.worker_disable_rate_limits:
            return None
        self._look()
        queue = str((task.request.delivery_info or {}).get("routing_key") or "")
        return self._ask(str(task.name), queue, str(task.request.id), lambda: (args, kwargs), late=late)

    def bases(self, task: str | None, queue: str) -> list[str]:
        """Return the names of the limits that a job of ``task`` in ``queue`` may wait for a start under."""
        found = [*(self._applied(task) if task is not None else ()), *self._applied_to(queue)]
        return sorted({one.base for one in found})

    def _ask(self, name: str, queue: str, owner: str, arguments: _Arguments, *, late: str = "") -> Ask | None:
        task = self._app.tasks.get(name)
        given: tuple[Any, Any] | None = None
        limits: list[Limit] = []
        for applied in [*self._applied(name), *self._applied_to(queue)]:
            word = applied.base
            if applied.key not in ((), []):
                given = given or arguments()
                if given is None or task is None:
                    return None
                if unknown_names(task, applied.key)[0]:
                    # A queue's limit, whose key this task has not.
                    continue
                try:
                    word = self.name_of(applied.base, applied.key, task, *given)
                except InvalidArguments:
                    return None
            limits.append(Limit(word, applied.base, applied.rule))
        return Ask(owner, tuple(limits), late) if limits else None

    @staticmethod
    def name_of(base: str, key: Key, task: Any, args: Any, kwargs: Any) -> str:
        """Return how a limit goes by for these arguments."""
        return base if key in ((), []) else f"{base}:{key_of(task, key, args, kwargs)}"

    def most(self, base: str, limit: Concurrency) -> int:
        """Return how many slots there are now; 0 for no limit."""
        self._look()
        return self._changed.get(base, limit.rule).count

    def patience(self, task: str) -> float:
        """Return how many seconds after its grant a job of ``task`` may start."""
        known = self._patience.get(task)
        if known is None:
            rules = [self._changed.get(one.base, one.rule) for one in self._applied(task)]
            known = self._patience[task] = min((rule.slack for rule in rules if rule.count), default=float("inf"))
        return known

    def _applied(self, name: str) -> list[_Applied]:
        known = self._of_task.get(name)
        if known is None:
            known = self._of_task[name] = list(self._applied_anew(name))
        return known

    def _applied_anew(self, name: str) -> Iterator[_Applied]:
        task = self._app.tasks.get(name)
        bases: set[str] = set()
        limited = _limited(task)
        for base, limit in limited.named(name) if limited is not None else ():
            if not isinstance(limit, Concurrency):
                bases.add(base)
                yield _Applied(base, limit.key, limit.rule)
        celerys = self._celerys(task)
        if name not in bases and (celerys is not None or name in self._changed):
            yield _Applied(name, (), celerys or UNLIMITED)
        for pattern, rule, matches in self._routes():
            if matches(name):
                yield _Applied(f"route:{pattern}", (), rule)
                return

    def _applied_to(self, queue: str) -> list[_Applied]:
        found = [_Applied(base, limit.key, limit.rule) for base, limit in self._queues.get(queue, ())]
        if not found and f"queue:{queue}" in self._changed:
            found.append(_Applied(f"queue:{queue}", (), UNLIMITED))
        return found

    def _celerys(self, task: Any) -> Rule | None:
        rate = self._rates.setdefault(task.name, task.rate_limit) if task is not None else None
        try:
            return rule_of(rate) if rate else None
        except ValueError:
            return None

    def _routes(self) -> Iterator[tuple[str, Rule, Callable[[str], Any]]]:
        """Yield what routes say of rates, the first that matches first."""
        routes = self._app.conf.task_routes or ()
        for table in routes if isinstance(routes, (list, tuple)) else [routes]:
            for pattern, route in table.items() if isinstance(table, dict) else ():
                if isinstance(route, Mapping) and route.get("rate_limit"):
                    yield str(getattr(pattern, "pattern", pattern)), rule_of(route["rate_limit"]), _matcher(pattern)


def _matcher(pattern: Any) -> Callable[[str], Any]:
    if isinstance(pattern, re.Pattern):
        return pattern.match
    return re.compile(fnmatch.translate(pattern)).match if "*" in pattern else pattern.__eq__


def _limited(task: Any) -> Any:
    declared = getattr(task, "declared", None)
    return None if declared is None else declared.limits


def _asks_itself(task: Any) -> bool:
    """Whether a task waits for something else before its body, so that its starts are granted there."""
    declared = getattr(task, "declared", None)
    if declared is None or declared.limits is None:
        return False
    return bool(declared.limits.slots or declared.overlap is not None or declared.breaker is not None)


def _is_slots(name: str, rule: Rule | None) -> bool:
    return not rule.seconds if rule is not None else name.startswith("named:") and name.endswith(":slots")


def _slots(number: Any) -> Rule:
    try:
        count = int(number)
    except (TypeError, ValueError):
        raise ValueError(f"{number!r} is no number of slots.") from None
    if count < 1:
        raise ValueError(f"{number!r} is no number of slots.")
    return Rule(count, 0.0)
