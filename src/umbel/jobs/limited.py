"""``limits=[...]`` of a task: what goes around its body (C33, C34, C28).

A task that declares rates only is let in by its worker, for a whole batch at once (:mod:`umbel.engine.admission`); here
it is seen that the start has not come too late for its grant. What also waits for something else before its body, a
slot, a lock or a breaker, asks here, when it has that: first the slots, then the rates, so that no start is granted to
a job that cannot use it; a job that must wait for its rate gives its slots back.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from umbel.engine.admission import GRANTED
from umbel.engine.outcome import is_running
from umbel.errors import ConfigurationError
from umbel.jobs.again import times_put_off
from umbel.jobs.claims import finish, granted, try_acquire
from umbel.jobs.limits import AnyLimit, Concurrency, limit_of
from umbel.jobs.outcomes import Snooze
from umbel.jobs.slots import Slot

__all__ = ("Limited",)

#: A job that waits for a slot looks again after so long at first, should nobody wake it, and then after twice as long.
_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0
_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Limited:
    """The limits of one task, all of which its jobs keep."""

    limits: tuple[AnyLimit, ...]

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``limits=`` of a task declares: a list of limits, of which text is a rate."""
        if not isinstance(value, (list, tuple)):
            raise ConfigurationError(f"{place}: limits={value!r} is no list; write limits=[RateLimit('100/m'), ...].")
        if len(value) > _MOST:
            raise ConfigurationError(f"{place}: limits= has {len(value)} of them, and {_MOST} are the most.")
        return cls(tuple(limit_of(one, f"{place}: limits") for one in value))

    def problem(self, task: Any) -> str | None:
        """Return what is wrong with it on ``task``, as a sentence; None when nothing is."""
        return next((problem for one in self.limits if (problem := one.problem(task)) is not None), None)

    def named(self, task: str) -> Iterator[tuple[str, AnyLimit]]:
        """Yield the limits, each with the name by which it is changed."""
        taken: set[str] = set()
        for limit in self.limits:
            name = base = limit.name or _base(task, limit)
            number = 2
            while name in taken:
                name, number = f"{base}#{number}", number + 1
            taken.add(name)
            yield name, limit

    @property
    def slots(self) -> bool:
        """Whether some of them are slots."""
        return any(isinstance(one, Concurrency) for one in self.limits)

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run`` so that it starts when its limits let it."""

        @functools.wraps(run)
        def limited(*args: Any, **kwargs: Any) -> Any:
            if not is_running(task) or task.request.is_eager:
                return run(*args, **kwargs)
            with contextlib.ExitStack() as slots:
                had = granted("limits")
                for slot in had or self.locks(task, str(task.request.id), args, kwargs):
                    left = 0.0 if had else try_acquire(slot, self.waiter(task.request.id))
                    if left:
                        raise self.refusal(task, left)
                    slots.callback(finish, slot)
                _start(task, args, kwargs)
                return run(*args, **kwargs)

        return limited

    @property
    def claims(self) -> bool:
        """Whether jobs need something before they begin, beside a start."""
        return self.slots

    def waiter(self, task_id: str) -> str | None:
        """Return who is to be woken when a slot is free."""
        return task_id

    def locks(self, task: Any, task_id: str, args: Any, kwargs: Any) -> list[Slot]:
        """Return the slots that a job needs. Raises :exc:`InvalidArguments`."""
        book, found = task.app.limits, []
        for base, limit in self.named(str(task.name)) if self.slots else ():
            most = book.most(base, limit) if isinstance(limit, Concurrency) else 0
            if most and isinstance(limit, Concurrency):
                name = book.name_of(base, limit.key, task, args, kwargs)
                # The job itself is the owner: when it runs again after a crash, the slot is still its own.
                found.append(Slot(task.app.slot_keeper, name, limit.for_.total_seconds(), owner=task_id, most=most))
        return found

    def refusal(self, task: Any, left: float) -> Exception:
        """Return how a job ends that finds all slots taken for so many seconds."""
        return Snooze(_pause(task, left), "all slots are taken")


def _start(task: Any, args: Any, kwargs: Any) -> None:
    """Ask whether the job may start, unless that was granted just now. Raises :class:`Snooze`."""
    book = task.app.limits
    granted, mark = getattr(task.request, GRANTED, None) or (0.0, "")
    if mark and time.monotonic() - granted <= book.patience(str(task.name)):
        return
    ask = book.ask_inside(task, args, kwargs, late=mark)
    if ask is None:
        return
    (start,) = task.app.engine.limits.reserve([ask])
    if start.wait:
        raise Snooze(start.wait, "its limits let it start then")


def _pause(task: Any, left: float) -> float:
    longest: float = _FIRST_SECONDS * 2 ** min(times_put_off(task.request), 10)
    return min(max(left, _FIRST_SECONDS), longest, _LONGEST_SECONDS)


def _base(task: str, limit: AnyLimit) -> str:
    key = limit.key
    words = [task]
    if callable(key):
        words.append("key")
    elif key:
        words.append(key if isinstance(key, str) else ",".join(key))
    elif key is None:
        words.append("arguments")
    if isinstance(limit, Concurrency):
        words.append("slots")
    return ":".join(words)
