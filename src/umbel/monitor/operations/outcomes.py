"""What became of something that a person wanted done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from umbel.states import JobState

if TYPE_CHECKING:
    from umbel.monitor.operations.selection import JobSelection, LetterSelection

__all__ = ("Bulk", "Outcome", "Tally")

S = TypeVar("S", "JobSelection", "LetterSelection")
_PROBLEMS_MOST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One thing was done. ``text`` is a sentence for a person."""

    text: str
    #: What it was done to: a job's id, the name of a queue.
    target: str
    #: The job's state now, where that is told.
    state: JobState | None = None
    #: The job that came of it.
    job_id: str | None = None
    #: How many messages, jobs or letters it was about.
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk(Generic[S]):
    """One step over all that fit has been done. ``text`` is a sentence for a person."""

    text: str
    done: int
    #: Others were quicker, or it had ended by then.
    left_alone: int = 0
    failed: int = 0
    #: Why, for the first twenty of those that failed.
    problems: tuple[str, ...] = ()
    #: What is left for the next step, which is called with it; None when all was done.
    next: S | None = None


class Tally:
    """Counts what is done, one after the other."""

    def __init__(self) -> None:
        self.done = self.left_alone = self.failed = 0
        self.problems: list[str] = []

    @property
    def seen(self) -> int:
        """How many were looked at."""
        return self.done + self.left_alone + self.failed

    def count(self, done: bool) -> None:
        """Count one that was done, or was left alone."""
        if done:
            self.done += 1
        else:
            self.left_alone += 1

    def fail(self, reason: Exception | str) -> None:
        """Count one that could not be done."""
        self.failed += 1
        if len(self.problems) < _PROBLEMS_MOST:
            self.problems.append(str(reason))

    def words(self, done: str) -> str:
        """Return what was done as one sentence: ``3 jobs were cancelled, 1 was left alone.``"""
        return ", ".join(self._words(done)) + "."

    def _words(self, done: str) -> Iterator[str]:
        yield f"{self.done:,} {done}"
        if self.left_alone:
            yield f"{self.left_alone:,} left alone, because they had changed by then"
        if self.failed:
            yield f"{self.failed:,} failed: {self.problems[0].rstrip('.')}"

    def bulk(self, done: str, following: S | None) -> Bulk[S]:
        """Return it as the outcome of a step. ``done``: ``cancelled``, ``replayed``."""
        return Bulk(
            text=self.words(done),
            done=self.done,
            left_alone=self.left_alone,
            failed=self.failed,
            problems=tuple(self.problems),
            next=following,
        )
