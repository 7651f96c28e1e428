"""What a campaign dispatches, and which effects that must have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from celery import chain, chord

__all__ = ("Work", "Workload")

_STEPS = 3


class Work(Protocol):
    """Jobs that a campaign dispatches, and what must come of them."""

    @property
    def jobs(self) -> int:
        """How many jobs that are."""

    @property
    def executions(self) -> int:
        """How many executions that takes when nobody is killed."""

    @property
    def failures(self) -> int:
        """How many jobs fail for good."""

    @property
    def states(self) -> dict[str, int]:
        """How many jobs end in which state."""

    def effects(self) -> set[str]:
        """Return the keys of all effects."""

    def dispatch(self, tasks: Any) -> None:
        """Send everything with the tasks of module ``tests.chaos.jobs``."""


@dataclass(frozen=True, slots=True)
class Workload:
    """``jobs`` jobs in all: a chord, chains of three, jobs that retry once, and plain ones, half of them async."""

    jobs: int
    members: int = 500

    @property
    def chains(self) -> int:
        """How many chains there are."""
        return self.jobs // 100

    @property
    def retrying(self) -> int:
        """How many jobs retry once."""
        return self.jobs // 20

    @property
    def plain(self) -> int:
        """How many jobs are nothing special."""
        return self.jobs - self.members - 1 - _STEPS * self.chains - self.retrying

    @property
    def executions(self) -> int:
        """How many executions that takes when nobody is killed: retries count twice."""
        return self.jobs + self.retrying

    @property
    def failures(self) -> int:
        """How many jobs fail for good."""
        return 0

    @property
    def states(self) -> dict[str, int]:
        """How many jobs end in which state."""
        return {"SUCCESS": self.jobs}

    def effects(self) -> set[str]:
        """Return the keys of all effects."""
        keys = {f"p{number}" for number in range(self.plain)}
        keys |= {f"r{number}/{attempt}" for number in range(self.retrying) for attempt in (0, 1)}
        keys |= {f"c{number}.{step}" for number in range(self.chains) for step in range(_STEPS)}
        keys |= {f"m{number}" for number in range(self.members)}
        return keys | {f"callback={self.members}"}

    def dispatch(self, tasks: Any) -> None:
        """Send everything with the tasks of module ``tests.chaos.jobs``; the chord first, so that kills meet it."""
        chord([tasks.member.si(f"m{number}") for number in range(self.members)])(tasks.callback.s())
        half = self.plain // 2
        _send(tasks.plain, (f"p{number}" for number in range(half // 2)))
        for number in range(self.chains):
            chain(tasks.coroutine.si(f"c{number}.0"), tasks.plain.si(f"c{number}.1"), tasks.member.si(f"c{number}.2"))()
        _send(tasks.coroutine, (f"p{number}" for number in range(half // 2, half)))
        _send(tasks.retrying, (f"r{number}" for number in range(0, self.retrying, 2)))
        _send(tasks.aretrying, (f"r{number}" for number in range(1, self.retrying, 2)))
        # By turns, so that the two kinds share processes at any time.
        for start in range(half, self.plain, 1000):
            task = (tasks.plain, tasks.coroutine)[start // 1000 % 2]
            _send(task, (f"p{number}" for number in range(start, min(start + 1000, self.plain))))


def _send(task: Any, keys: Iterable[str]) -> None:
    for _ in task.enqueue_many(keys):
        pass
