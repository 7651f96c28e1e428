"""When nobody knows whether an effect is there, and what is done then (C32)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from celery.exceptions import Ignore, Retry, SoftTimeLimitExceeded

from umbel.durations import duration
from umbel.engine.job import current_job
from umbel.errors import ConfigurationError
from umbel.jobs.faults import Outlook, fault_of
from umbel.state.effects import Doubtful

__all__ = ("Done", "EffectPolicy", "NotDone")

_UNCERTAIN: Final = ("hold", "repeat")
_CHAIN_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Done:
    """What ``ask=`` returns when the effect is there: ``result`` is given to whoever calls again."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class NotDone:
    """What ``ask=`` returns when the effect is certainly not there, and may be caused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectPolicy:
    """How long results are kept, and what becomes of an effect that was interrupted."""

    for_: Any = timedelta(days=1)
    ask: Callable[..., Any] | None = None
    uncertain: Literal["hold", "repeat"] = "hold"
    unsure: Any = ()
    lease: Any = timedelta(seconds=30)

    def __post_init__(self) -> None:
        if self.uncertain not in _UNCERTAIN:
            known = " or ".join(map(repr, _UNCERTAIN))
            raise ConfigurationError(f"Idempotent(uncertain={self.uncertain!r}): write {known}, beside ask= or alone.")
        if self.ask is not None and not callable(self.ask):
            raise ConfigurationError(f"Idempotent(ask={self.ask!r}) is no function that could be asked.")
        kinds = self.unsure if isinstance(self.unsure, tuple) else (self.unsure,)
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise ConfigurationError(f"Idempotent(unsure=): {kind!r} is no exception class.")
        object.__setattr__(self, "unsure", kinds)
        for name, least in (("for_", timedelta(seconds=1)), ("lease", timedelta(seconds=1))):
            object.__setattr__(self, name, _span(getattr(self, name), name, least))

    def doubtful(self, *, asks: bool) -> Doubtful:
        """Return what a claim does with an effect of which nobody knows."""
        if asks:
            return "take"
        return "repeat" if self.uncertain == "repeat" else "leave"

    def doubts(self, error: BaseException) -> bool:
        """Whether, after ``error``, the effect may be there.

        It may after an answer that was lost (:func:`umbel.fault_of`), a time limit, a cancel, and what ``unsure``
        names; by the first error of its chain of causes that tells. ``raise … from None`` says that those before do
        not count.
        """
        if self.uncertain == "repeat" and self.ask is None:
            return False
        job = current_job.get()
        if job is not None and (job.cancelled or job.soft_sent) and isinstance(error, Ignore):
            return True
        for one in _chain(error):
            if not isinstance(one, Exception) or isinstance(one, (SoftTimeLimitExceeded, *self.unsure)):
                return True
            fault = fault_of(one)
            if fault is not None:
                return fault.outlook is Outlook.UNSURE and not fault.idempotent
        return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_CHAIN_MOST):
        if one is None:
            return
        yield one
        if isinstance(one, Retry) and isinstance(one.exc, BaseException):
            one = one.exc
        else:
            one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _span(value: Any, name: str, least: timedelta) -> timedelta:
    try:
        found = duration(value)
    except ValueError as error:
        raise ConfigurationError(f"Idempotent({name}=): {error}") from None
    if found < least:
        raise ConfigurationError(f"Idempotent({name}={value!r}) is too short: write '1s' or more.")
    return found
