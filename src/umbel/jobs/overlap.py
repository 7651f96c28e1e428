"""``WithoutOverlap``: of the jobs of one key one runs at a time, and the others wait without using up an attempt (C31).

The key is a lock that is renewed while the job runs, belongs to this job alone and has a fencing number. A job that
finds it taken goes back to the store, delayed; when the lock is free, the first that waits is due at once. Costs two
round trips a batch, one before and one after it; jobs of one key that one process has fetched together cost two each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Self

from umbel.engine.outcome import is_running
from umbel.errors import ConfigurationError
from umbel.jobs.again import times_put_off
from umbel.jobs.claims import finish, granted, try_acquire
from umbel.jobs.keys import Key, Keyed, key_name
from umbel.jobs.locks import Lock
from umbel.jobs.outcomes import Cancel, Snooze

__all__ = ("WithoutOverlap", "current_lock")

_OTHERWISE: Final = ("wait", "skip")
#: A job that waits looks again after so long at first, should nobody wake it, and then after twice as long each time.
_FIRST_SECONDS: Final = 1.0

_current: Final[ContextVar[Lock | None]] = ContextVar("umbel_lock", default=None)


def current_lock() -> Lock | None:
    """Return the lock of the job that runs here; None if it has declared no :class:`WithoutOverlap`.

    Its ``fence`` is for what the job writes to: that may refuse a number smaller than one it has seen.
    """
    return _current.get()


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutOverlap(Keyed):
    """Let jobs of one key run one at a time.

        @jobs.task(overlap=WithoutOverlap(key="account"))
        def post(account: int, amount: int) -> None: ...

    ``key``: names of parameters, or a function of the arguments; all jobs of the task are of one key when it is left
    out. ``otherwise``: a job that finds another one running waits for it (``"wait"``), which uses no attempt, or is
    left out (``"skip"``: it is cancelled). ``for_``: how long the lock outlives a process that dies, as a duration; it
    is renewed while the job runs, however long that takes. Raises :exc:`ConfigurationError`.
    """

    key: Key = ()
    otherwise: Literal["wait", "skip"] = "wait"
    for_: Any = timedelta(seconds=30)

    def __post_init__(self) -> None:
        if self.otherwise not in _OTHERWISE:
            known = ", ".join(map(repr, _OTHERWISE))
            raise ConfigurationError(f"WithoutOverlap(otherwise={self.otherwise!r}): write one of {known}.")
        self._span("for_", least=timedelta(seconds=1))

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``overlap=`` of a task declares: a :class:`WithoutOverlap`, or False for one of its defaults."""
        if value is False:
            return cls()
        if not isinstance(value, cls):
            raise ConfigurationError(
                f"{place}: overlap={value!r} is no declaration; write WithoutOverlap(...) or False."
            )
        return value

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run`` so that it runs while no other of its key does."""

        @functools.wraps(run)
        def alone(*args: Any, **kwargs: Any) -> Any:
            if not is_running(task) or task.request.is_eager:
                return run(*args, **kwargs)
            lock = next(iter(granted("overlap")), None)
            if lock is None:
                (lock,) = self.locks(task, str(task.request.id), args, kwargs)
                left = try_acquire(lock, self.waiter(task.request.id))
                if left:
                    raise self.refusal(task, left)
            token = _current.set(lock)
            try:
                return run(*args, **kwargs)
            finally:
                _current.reset(token)
                finish(lock)

        return alone

    @property
    def claims(self) -> bool:
        """Whether jobs need something before they begin."""
        return True

    def waiter(self, task_id: str) -> str | None:
        """Return who is to be woken when the lock is free."""
        return task_id if self.otherwise == "wait" else None

    def locks(self, task: Any, task_id: str, args: Any, kwargs: Any) -> list[Lock]:
        """Return the lock that a job needs. Raises :exc:`InvalidArguments`."""
        # The job itself is the owner: when it runs again after a crash, the lock is still its own.
        name = f"overlap:{key_name(task, self.key, args, kwargs)}"
        return [Lock(task.app.keeper, name, self.for_.total_seconds(), owner=task_id)]

    def refusal(self, task: Any, left: float) -> Exception:
        """Return how a job ends that finds its lock taken for so many seconds."""
        if self.otherwise == "skip":
            return Cancel("another job of its key runs")
        pause = min(left, _FIRST_SECONDS * 2 ** min(times_put_off(task.request), 10))
        return Snooze(pause, "another job of its key runs")
