"""``Retry``: how often a task runs again, for what, and after how long (C26, C28).

One decision publishes one message, settled with the end of the try that it follows. Attempts used up, the job fails
with the exception itself. Never caught, whatever ``on`` says: Celery's ``Retry``, ``Ignore`` and ``Reject``, a soft
time limit, a cancel, and the outcomes of :mod:`umbel.jobs.outcomes`. A try that succeeds pays for two more calls.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from billiard.common import terminate_handler_fired
from celery.exceptions import SoftTimeLimitExceeded, TaskPredicate

from umbel.engine.job import current_job
from umbel.engine.outcome import Outcome
from umbel.errors import ConfigurationError, EffectUncertain
from umbel.jobs.again import again, first_due
from umbel.jobs.backoff import Exponential, backoff_of, span
from umbel.jobs.faults import Fault, fault_of

__all__ = ("TRANSIENT", "Retry")

#: ``on=TRANSIENT``: what a known client's error says will pass, and nothing else.
TRANSIENT: Final = "transient"

_DEFAULT_BACKOFF: Final = Exponential(first=timedelta(seconds=10), max=timedelta(hours=1))
_MOST: Final = 10_000
_CHAIN_MOST: Final = 20
#: Whose word is final for errors that it knows, also of a class that ``on`` names.
_CLIENTS: Final = ("httpx", "requests", "smtplib", "aiosmtplib")
#: Celery's own words, the outcomes, what tells that the process is in need, and what a person is to look at.
_NEVER: Final = (TaskPredicate, Outcome, SoftTimeLimitExceeded, MemoryError, EffectUncertain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Run a task again when it fails, at most ``times`` times.

        @jobs.task(retry=Retry(5, on=(ConnectionError, "transient"), backoff=exponential("10s", max="10m"), until="6h"))

    ``on``, ``never``: exception classes, ``"transient"`` (what :func:`umbel.fault_of` calls passing), predicates of an
    exception, or a tuple of those. HTTP and SMTP errors that :func:`umbel.fault_of` knows are retried only when they
    are passing, also when their class is named; only a predicate overrules that. ``idempotent``: what the task asks of
    others may be done twice, so that it may ask again when an answer was lost.
    ``backoff``: :func:`umbel.exponential`, a list of pauses (the last one is repeated), or one pause.
    ``jitter``: wait for a random part of each pause, from nothing to the whole of it ("full jitter", M. Brooker,
    *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015), so that those who failed together do not come back
    together. A ``Retry-After`` of the other side is waited for in any case, and the pause comes on top of it.
    ``until``: no try is due later than this duration after the first dispatch (for a job for later: after it was due),
    or than this moment. With it ``times`` may be None. Raises :exc:`ConfigurationError`.
    """

    times: int | None = field(default=3, kw_only=False)
    on: Any = Exception
    never: Any = ()
    backoff: Any = _DEFAULT_BACKOFF
    jitter: bool = True
    until: Any = None
    idempotent: bool = False

    def __post_init__(self) -> None:
        self._check_times()
        for name in ("on", "never"):
            object.__setattr__(self, name, _kinds(getattr(self, name), f"Retry({name}=)"))
        if not self.on:
            raise ConfigurationError("Retry(on=()) would never run again: name what may pass, or leave on= out.")
        object.__setattr__(self, "backoff", backoff_of(self.backoff, "Retry(backoff=)"))
        if isinstance(self.until, datetime):
            if self.until.tzinfo is None:
                raise ConfigurationError("Retry(until=) has no time zone: write datetime(…, tzinfo=UTC).")
        elif self.until is not None:
            object.__setattr__(self, "until", span(self.until, "Retry(until=)"))

    def _check_times(self) -> None:
        if self.times is None:
            if self.until is None:
                raise ConfigurationError("Retry(None) would never give up: say how many times, or until when.")
        elif isinstance(self.times, bool) or not isinstance(self.times, int) or not 0 <= self.times <= _MOST:
            raise ConfigurationError(
                f"Retry({self.times!r}): how often is a number from 0 to {_MOST:,}, or None beside until=."
            )

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what a task has declared by ``retry=``: a :class:`Retry`, or how many times."""
        if isinstance(value, cls):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return cls(value)
        raise ConfigurationError(f"{place}: retry={value!r} is no Retry; write retry=3, or retry=Retry(3, on=…).")

    # -- the policy, as a function --------------------------------------------------------------------------------

    def catches(self, error: BaseException) -> bool:
        """Whether a task that ends with ``error`` may run again, as far as the error itself tells.

        A group of exceptions is caught when each of them is.
        """
        if isinstance(error, ExceptionGroup):
            return all(self.catches(one) for one in error.exceptions)
        if isinstance(error, _NEVER) or not isinstance(error, Exception) or _is_made_of_a_stop(error):
            return False
        fault = fault_of(error, idempotent=self.idempotent)
        if any(_fits(kind, error, fault) for kind in self.never):
            return False
        if any(_fits(kind, error, fault) for kind in self.on if not isinstance(kind, type)):
            return True
        if fault is not None and fault.library in _CLIENTS and not fault.passing:
            return False
        return any(isinstance(error, kind) for kind in self.on if isinstance(kind, type))

    def delay(
        self, retries: int, *, wait: timedelta | None = None, chance: Callable[[], float] = random.random
    ) -> timedelta:
        """Return how long to wait before the next try, after ``retries`` that have been.

        ``wait`` is what the other side asked for; ``chance`` gives numbers from 0.0 up to 1.0.
        """
        step: timedelta = self.backoff.step(retries)
        if self.jitter:
            return (wait or timedelta(0)) + step * chance()
        return max(step, wait or timedelta(0))

    # -- in a job ------------------------------------------------------------------------------------------------

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run``, the body of ``task``, so that a failure that is caught orders the next try."""

        @functools.wraps(run)
        def trying(*args: Any, **kwargs: Any) -> Any:
            try:
                return run(*args, **kwargs)
            except Exception as error:
                following = self._following(task, error)
                if following is None:
                    raise
                raise following from error

        return trying

    def pause(self, request: Any, error: BaseException, *, asked: timedelta | None = None) -> timedelta | None:
        """Return how long the job of ``request`` waits before its next try; None if there is none left.

        ``asked``: what the job itself wants, in place of the backoff.
        """
        if self.times is not None and request.retries >= self.times:
            return None
        if asked is None:
            asked = self.delay(request.retries, wait=_wait_asked_for(error))
        return asked if self._is_in_time(request, asked) else None

    def _following(self, task: Any, error: Exception) -> BaseException | None:
        request = task.request
        job = current_job.get()
        if request.called_directly or (job is not None and (job.cancelled or job.soft_sent)):
            # It was told to end, whatever became of that in its body.
            return None
        pause = self.pause(request, error) if self.catches(error) else None
        return None if pause is None else again(task, error, pause)

    def _is_in_time(self, request: Any, pause: timedelta) -> bool:
        if self.until is None:
            return True
        if isinstance(self.until, datetime):
            end = self.until.timestamp()
        else:
            end = first_due(request) + self.until.total_seconds()
        return time.time() + pause.total_seconds() <= end


def _kinds(value: Any, place: str) -> tuple[Any, ...]:
    kinds = tuple(value) if isinstance(value, (tuple, list, set, frozenset)) else (value,)
    for kind in kinds:
        if isinstance(kind, type):
            if not issubclass(kind, BaseException):
                raise ConfigurationError(f"{place}: {kind.__name__} is no exception class.")
        elif kind != TRANSIENT and not callable(kind):
            raise ConfigurationError(
                f'{place}: {kind!r} is neither an exception class, nor "{TRANSIENT}", nor a function of an exception.'
            )
    return kinds


def _fits(kind: Any, error: Exception, fault: Fault | None) -> bool:
    if isinstance(kind, type):
        return isinstance(error, kind)
    if kind == TRANSIENT:
        return fault is not None and fault.passing
    return bool(kind(error))


def _wait_asked_for(error: BaseException) -> timedelta | None:
    if isinstance(error, BaseExceptionGroup):
        return max(filter(None, map(_wait_asked_for, error.exceptions)), default=None)
    fault = fault_of(error)
    return fault.wait if fault is not None else None


def _is_made_of_a_stop(error: BaseException) -> bool:
    """Whether a soft time limit or a cancel is behind ``error``: somebody below has caught it and raised another."""
    # A prefork child is ended by a SystemExit; one that survives that may still call sys.exit() itself.
    stops = (SoftTimeLimitExceeded, SystemExit) if terminate_handler_fired() else SoftTimeLimitExceeded
    return any(isinstance(one, stops) for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_CHAIN_MOST):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__
