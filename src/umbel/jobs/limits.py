"""``RateLimit``, ``TokenBucket``, ``Concurrency``: how often and how many at a time jobs run (C33, C34).

In the whole fleet, by the store's clock. What a rate holds up waits in the store for a start time of its own; what
finds no free slot, until one is released. Neither uses an attempt, a slot or a thread. See :mod:`umbel.jobs.limited`
for how they are put around a body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from umbel.errors import ConfigurationError
from umbel.jobs.keys import Key, Keyed
from umbel.jobs.rates import rule_of
from umbel.state.limits import Rule

__all__ = ("AnyLimit", "Concurrency", "RateLimit", "TokenBucket", "limit_of")

_MOST: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit(Keyed):
    """Let at most so many jobs start in **any** window of that length, in the whole fleet.

        @jobs.task(limits=[RateLimit("100/m"), RateLimit("10/m", key="user_id")])
        async def notify(user_id: int) -> None: ...

    ``rate``: ``"10/s"``, ``"100/m"``, ``"1000/h"``, ``"5/d"``. ``key``: names of parameters, or a function of the
    arguments; each value of it is limited by itself, and all jobs together without one. ``name``: what it is called in
    ``umbel limits``; declarations of one name are one limit, on whatever tasks they stand. Unless given it is that of
    its task, with its key. Raises :exc:`ConfigurationError`.
    """

    rate: Any = field(kw_only=False)
    key: Key = ()
    name: str | None = None

    def __post_init__(self) -> None:
        _rule(self)
        _named(self)

    @property
    def rule(self) -> Rule:
        """What it says."""
        return _rule(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBucket(Keyed):
    """Let at most ``burst + rate * t`` jobs start in any time t, in the whole fleet.

        @jobs.task(limits=[TokenBucket("10/s", burst=50)])
        def push(device: str) -> None: ...

    For what may come in bursts after a pause. ``key`` and ``name`` as for :class:`RateLimit`.
    Raises :exc:`ConfigurationError`.
    """

    rate: Any = field(kw_only=False)
    burst: int = field(kw_only=False)
    key: Key = ()
    name: str | None = None

    def __post_init__(self) -> None:
        _whole(self, "burst")
        _rule(self)
        _named(self)

    @property
    def rule(self) -> Rule:
        """What it says."""
        return _rule(self, self.burst)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency(Keyed):
    """Let at most ``most`` jobs run at a time, in the whole fleet.

        @jobs.task(limits=[Concurrency(5, key="tenant")])
        def report(tenant: str) -> None: ...

    Each of them has a slot, whose lease is renewed while it runs and ends ``for_`` after its process has died.
    ``key`` and ``name`` as for :class:`RateLimit`. Raises :exc:`ConfigurationError`.
    """

    most: int = field(kw_only=False)
    key: Key = ()
    name: str | None = None
    for_: Any = timedelta(seconds=30)

    def __post_init__(self) -> None:
        _whole(self, "most")
        self._span("for_", least=timedelta(seconds=1))
        _named(self)

    @property
    def rule(self) -> Rule:
        """How many there are, as what can be changed live."""
        return Rule(self.most, 0.0)


AnyLimit = RateLimit | TokenBucket | Concurrency


def limit_of(value: Any, place: str) -> AnyLimit:
    """Return ``value`` as a limit; text is a rate. Raises :exc:`ConfigurationError`."""
    if isinstance(value, str):
        return RateLimit(value)
    if isinstance(value, (RateLimit, TokenBucket, Concurrency)):
        return value
    raise ConfigurationError(f"{place}: {value!r} is no limit; write RateLimit('100/m'), TokenBucket or Concurrency.")


def _rule(limit: RateLimit | TokenBucket, burst: int = 0) -> Rule:
    try:
        rule = rule_of(limit.rate, burst)
    except ValueError as error:
        raise ConfigurationError(f"{type(limit).__name__}: {error}") from None
    if not rule.count:
        raise ConfigurationError(
            f"{type(limit).__name__}({limit.rate!r}) would let nothing start, or everything: leave it out."
        )
    return rule


def _whole(limit: AnyLimit, name: str) -> None:
    value = getattr(limit, name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise ConfigurationError(f"{type(limit).__name__}({name}={value!r}) is a number from 1 to {_MOST:,}.")


def _named(limit: AnyLimit) -> None:
    if limit.name is not None and not (isinstance(limit.name, str) and 0 < len(limit.name) <= 200):
        raise ConfigurationError(f"{type(limit).__name__}(name={limit.name!r}): a name has 1 to 200 characters.")
