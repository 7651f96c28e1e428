"""``Breaker``: when what jobs need has failed too often, they wait, and one tries whether it is back (C29).

All processes of the fleet share one breaker a key. A job that finds it open goes back to the store, delayed, and uses
no attempt. Costs one round trip before each batch, and one more after a failure or a probe; a failure that opens it is
known at once to the jobs that this process has fetched already.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from umbel.engine.outcome import is_running
from umbel.errors import BreakerOpen, ConfigurationError
from umbel.ids import new_id
from umbel.jobs.claims import passage
from umbel.jobs.keys import Key, Keyed, key_name
from umbel.jobs.outcomes import Snooze
from umbel.jobs.retry import Retry
from umbel.state.breakers import Breakers, Threshold

__all__ = ("Breaker", "BreakerBlock")

#: What waited for a breaker comes back over this share of the time that it waited, not all at once.
_SPREAD = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker(Keyed):
    """Let jobs wait while what they need is down.

        @jobs.task(breaker=Breaker(failures=5, within="1m", open_for="30s", key="gateway"), retry=3)
        def charge(order: int, gateway: str) -> None: ...

    After ``failures`` failures ``within`` that time the jobs of the key wait for ``open_for``, which uses none of their
    attempts. Then one runs as a probe: when it succeeds all go on, when it fails they wait again.
    ``key``: names of parameters, or a function of the arguments; the whole task when left out. ``on``: what counts as a
    failure, as :class:`umbel.Retry` takes it; an HTTP or SMTP error that is the job's own fault never does.
    Raises :exc:`ConfigurationError`.
    """

    failures: int = 5
    within: Any = timedelta(minutes=1)
    open_for: Any = timedelta(seconds=30)
    key: Key = ()
    on: Any = Exception

    def __post_init__(self) -> None:
        if isinstance(self.failures, bool) or not isinstance(self.failures, int) or not 1 <= self.failures <= 1000:
            raise ConfigurationError(f"Breaker(failures={self.failures!r}) is a number from 1 to 1,000.")
        for name in ("within", "open_for"):
            self._span(name)
        Retry(0, on=self.on)

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``breaker=`` of a task declares: a :class:`Breaker`, or True for its defaults."""
        if value is True:
            return cls()
        if not isinstance(value, cls):
            raise ConfigurationError(f"{place}: breaker={value!r} is no declaration; write Breaker(...) or True.")
        return value

    @property
    def threshold(self) -> Threshold:
        """When it opens, and for how long."""
        return Threshold(self.failures, self.within.total_seconds(), self.open_for.total_seconds())

    def counts(self, error: BaseException) -> bool:
        """Whether ``error`` tells that what the job needs is down."""
        return Retry(0, on=self.on).catches(error)

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run`` so that it waits while the breaker of its key is open."""

        @functools.wraps(run)
        def passing(*args: Any, **kwargs: Any) -> Any:
            if not is_running(task) or task.request.is_eager:
                return run(*args, **kwargs)
            name = passage(task)
            block = BreakerBlock(
                task.app.engine.breakers,
                name or self.name(task, args, kwargs),
                self,
                owner=str(task.request.id),
                passed=name is not None,
            )
            wait = 0.0 if name else block.try_enter()
            if wait:
                raise self.refusal(task, wait)
            try:
                with block:
                    return run(*args, **kwargs)
            finally:
                if block.opened:
                    task.app.claims.opened(block.name)

        return passing

    @property
    def claims(self) -> bool:
        """Whether jobs need something before they begin."""
        return True

    def name(self, task: Any, args: Any, kwargs: Any) -> str:
        """Return which breaker a job is behind. Raises :exc:`InvalidArguments`."""
        return f"task:{key_name(task, self.key, args, kwargs)}"

    @staticmethod
    def refusal(task: Any, wait: float) -> Exception:
        """Return how a job of ``task`` ends that finds its breaker open for so many seconds."""
        return Snooze(wait * (1 + _SPREAD * random.random()), "what it needs is down: its breaker is open")


class BreakerBlock:
    """A ``with`` block behind a breaker; see :meth:`umbel.Umbel.breaker`."""

    def __init__(
        self, breakers: Breakers, name: str, breaker: Breaker, owner: str | None = None, *, passed: bool = False
    ) -> None:
        """``passed``: it was closed a moment ago."""
        self.name = name
        #: Whether a failure of this block has opened it, or found it open.
        self.opened = False
        self._breakers = breakers
        self._breaker = breaker
        self._owner = owner or new_id()
        self._probing: bool | None = False if passed else None

    def try_enter(self) -> float:
        """Ask whether to go on; return 0.0, or for how many seconds to wait. Raises StoreError."""
        passed = self._breakers.enter(self.name, self._owner, self._breaker.threshold.open_for)
        self._probing = None if passed.wait else passed.probing
        return passed.wait

    def __enter__(self) -> Self:
        """Raises :exc:`BreakerOpen` while nobody passes."""
        if self._probing is None:
            wait = self.try_enter()
            if wait:
                raise BreakerOpen.of(self.name, wait)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        probing, self._probing = self._probing, None
        if error is not None and self._breaker.counts(error):
            self.opened = self._breakers.failed(self.name, self._owner, self._breaker.threshold)
        elif probing:
            # Its own fault, or none: what it needs has answered.
            self._breakers.succeeded(self.name, self._owner)
