"""Dead letters: jobs that failed for good, and what a store does with them.

There is one letter a job, known by its key: the job's id, or a name of its own where the message has none. Its number
is that of its death: a job that dies again has a new one, so that whoever has read a letter and acts on it by its
number never meets a later death. While a replay runs its letter stays; its success drops the letter, its
failure writes it again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from umbel.engine.store import Outgoing

__all__ = (
    "ANY",
    "KEEP",
    "DeadLetter",
    "LetterBook",
    "LetterFilter",
    "LetterLimits",
    "Letters",
    "Replay",
    "ReplayEnd",
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed for good, with its message and all of its attempts.

    ``payload`` is Kombu's envelope as it was dispatched last. ``failures`` is JSON text, which
    :func:`umbel.engine.failures.failures_in` reads.
    """

    #: The number of this death; 0 until it is stored.
    id: int
    task_id: str | None
    task: str | None
    queue: str
    reason: str
    deliveries: int
    died: float
    payload: str
    key: str = ""
    owner: str | None = None
    #: Which release of the application ran it last.
    release: str | None = None
    #: The type of the last exception, with its module unless that is Python's own.
    exception: str | None = None
    #: The same for failures of one type at one place of the project's own code.
    fingerprint: str | None = None
    failures: str = "[]"
    #: How often it has been replayed.
    replays: int = 0
    #: Whether a replay of it is on its way.
    replaying: bool = False


@dataclass(frozen=True, slots=True)
class ReplayEnd:
    """The end of a replay that is no failure: ``closed`` drops the letter, else it waits for another replay."""

    key: str
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Replay:
    """A letter to replay, as it was read, and the message with which that is done.

    ``again``: also when a replay is said to be on its way, because that one's message is known to be gone.
    """

    letter: DeadLetter
    message: Outgoing
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters are meant: those that fit everything that is given. Times are unix seconds."""

    #: Those that somebody has chosen: one that has died again since is none of them.
    numbers: tuple[int, ...] | None = None
    queue: str | None = None
    task: str | None = None
    #: With its module or without.
    exception: str | None = None
    fingerprint: str | None = None
    release: str | None = None
    owner: str | None = None
    #: Died at this time or later.
    since: float | None = None
    #: Died earlier than this.
    before: float | None = None
    #: Whether a replay is on its way.
    replaying: bool | None = None
    #: Replayed less often than this.
    fewer_than: int | None = None

    def fits(self, letter: DeadLetter) -> bool:
        """Whether ``letter`` is one of them."""
        return (
            (self.numbers is None or letter.id in self.numbers)
            and self.queue in (None, letter.queue)
            and self.task in (None, letter.task)
            and (self.exception is None or self._names(letter.exception or ""))
            and self.fingerprint in (None, letter.fingerprint)
            and self.release in (None, letter.release)
            and self.owner in (None, letter.owner)
            and (self.since is None or letter.died >= self.since)
            and (self.before is None or letter.died < self.before)
            and self.replaying in (None, letter.replaying)
            and (self.fewer_than is None or letter.replays < self.fewer_than)
        )

    def _names(self, exception: str) -> bool:
        return self.exception in (exception, exception.rpartition(".")[2])


ANY: Final = LetterFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterLimits:
    """How many letters a store keeps, and for how many seconds; the oldest go."""

    most: int = 10_000
    seconds: float = 30 * 86_400.0


KEEP: Final = LetterLimits()


class LetterBook(ABC):
    """The dead letters of one store, to read and to drop. Each call is one step."""

    limits: LetterLimits

    @abstractmethod
    def find(
        self, wanted: LetterFilter = ANY, *, limit: int = 100, after: int | None = None, oldest: bool = False
    ) -> list[DeadLetter]:
        """Return up to ``limit`` letters, the newest first or the oldest; the next page begins ``after`` a number."""

    @abstractmethod
    def read(self, keys: Sequence[str]) -> list[DeadLetter]:
        """Return the letters of those ``keys`` that have one."""

    @abstractmethod
    def get(self, number: int) -> DeadLetter | None:
        """Return the letter of this number."""

    @abstractmethod
    def count(self) -> int:
        """Return how many letters there are."""

    @abstractmethod
    def drop(self, numbers: Sequence[int]) -> int:
        """Drop letters; return how many there were. A replay that is on its way goes on."""

    @abstractmethod
    def prune(self) -> int:
        """Drop what is above the limits; return how many letters those were."""


class Letters(LetterBook):
    """The dead letters of an engine."""

    @abstractmethod
    def replay(self, wanted: Sequence[Replay]) -> list[int]:
        """Queue the messages of letters again, each together with the fact that it was, in one step.

        Returns the numbers of those that were: a letter that has been replayed since it was read, has died again or has
        gone is left out, so that no two callers ever replay one.
        """
