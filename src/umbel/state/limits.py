"""When jobs may start: what stands behind ``RateLimit``, ``TokenBucket`` and Celery's ``rate_limit`` (C33).

A job asks with all of its limits at once. Either it may start now, which is noted in the same step; or it is told its
own start time, which nobody else is promised, and asks again then. So what waits needs neither polling nor luck, and
one that waits for its user's limit leaves the other users their places in a limit that they share.

Two things are kept apart. *Starts* are what is limited: a start is granted only where no window of the limit's length
would hold more than its count, by the store's clock; nothing else can make one. *Promises* only order those that wait;
one that is kept late, because its worker was away, moves others by as much and breaks no limit. Between the end of one
window and the next lies a slack, so that starts that follow their grants by less than it are exact in any window too.

Costs: one round trip for any number of asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from umbel.ids import new_id

__all__ = ("UNLIMITED", "Ask", "Limit", "Limits", "Rule", "Start", "Waiting")

#: Of a window's length, and its bounds in seconds.
_SLACK: Final = 0.015
_LEAST_SLACK: Final = 0.005
_MOST_SLACK: Final = 0.1


@dataclass(frozen=True, slots=True)
class Rule:
    """At most ``count`` starts in any ``seconds``; with a ``burst``, at most ``burst + count / seconds * t`` in any t.

    A count of 0 is no limit at all.
    """

    count: int
    seconds: float
    burst: int = 0

    @property
    def slack(self) -> float:
        """By how many seconds a start may follow its grant, so that starts themselves are exact."""
        return min(max(self.seconds * _SLACK, _LEAST_SLACK), _MOST_SLACK)

    @property
    def step(self) -> float:
        """Seconds until a bucket has another token."""
        return self.seconds / self.count


#: What a limit is changed to that is to hold nobody up.
UNLIMITED: Final = Rule(0, 1.0)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit that an ask is under. ``base`` is what it is changed by, ``name`` that and its key."""

    name: str
    base: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Ask:
    """A job that wants to start. ``late``: the ``mark`` of the ask by which it was granted one that it has not used."""

    owner: str
    limits: tuple[Limit, ...]
    late: str = ""
    mark: str = field(default_factory=new_id, compare=False)


@dataclass(frozen=True, slots=True)
class Start:
    """The answer: start now, or in ``wait`` seconds, which is ``at`` by the store's clock.

    ``lag``: by how many seconds a start that was promised comes after its time.
    """

    wait: float
    at: float
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many jobs wait for a limit, and in how many seconds the last of them starts.

    ``lag``: by how many seconds those came late that started last after they had waited.
    """

    jobs: int = 0
    seconds: float = 0.0
    lag: float = 0.0


class Limits(Protocol):
    """The limits of one store."""

    def reserve(self, asks: Sequence[Ask]) -> list[Start]:
        """Grant a start to each that may start now, promise one to each that may not, in their order, in one step."""

    def give_back(self, ask: Ask) -> None:
        """Let others have the start that was promised to ``ask``."""

    def change(self, base: str, rule: Rule | None) -> None:
        """Let ``rule`` hold for limit ``base`` from now on, for everybody; None: what is declared.

        Where the store holds the messages itself, those that wait are due at once, and are told new times.
        """

    def changes(self) -> dict[str, Rule]:
        """Return what has been changed."""

    def promised(self, owner: str, bases: Sequence[str]) -> dict[str, float]:
        """Return those of these limits for a start under which ``owner`` waits, and when it has that."""

    def waiting(self, bases: Sequence[str]) -> list[Waiting]:
        """Return what waits for each of these limits."""
