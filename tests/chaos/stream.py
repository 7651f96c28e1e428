"""Jobs without end for a store that is now and then not there: dispatched a parcel at a time, with their effects.

A dispatch counts when its call has returned. After an error nobody knows: where the API says that repeating is safe
(``aapply_async`` with the same id) it is repeated until it returns; elsewhere the parcel's effects may be seen once or
not at all, and it is sent again under another name, whose effects must be seen.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from celery import chain, chord
from kombu.exceptions import OperationalError

from umbel.errors import DispatchTimeout
from umbel.ids import new_id

__all__ = ("Parcel", "Stream", "parcels", "singles")

_BATCH: Final = 500
_MEMBERS: Final = 200
_AGAIN_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Parcel:
    """Some jobs that are sent in one call, and the keys of what they do; both follow from a name."""

    send: Callable[[str], None]
    effects: Callable[[str], Iterable[str]]


@dataclass(slots=True)
class Stream:
    """What was dispatched so far. ``backlog`` tells how much waits, of which there are at most ``most``."""

    backlog: Callable[[], int]
    most: int
    #: What is dispatched, of the application's tasks.
    parcels: Callable[[Any], Iterator[Parcel]] = field(default=lambda tasks: parcels(tasks))
    jobs: int = 0
    errors: int = 0
    #: What must be seen, and what may be.
    expected: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def run(self, tasks: Any, proceed: Callable[[int], bool]) -> None:
        """Dispatch as long as ``proceed`` (of the number of jobs so far) says so."""
        for number, parcel in enumerate(self.parcels(tasks)):
            while proceed(self.jobs) and self.backlog() > self.most:
                time.sleep(_LOOK_SECONDS)
            if not self._dispatch(f"{number}", parcel, proceed):
                return

    def _dispatch(self, name: str, parcel: Parcel, proceed: Callable[[int], bool]) -> bool:
        """Dispatch ``parcel``; return whether it was before the end."""
        attempts = itertools.count()
        while proceed(self.jobs):
            named = f"{name}~{next(attempts)}"
            effects = set(parcel.effects(named))
            try:
                parcel.send(named)
            except OperationalError:
                self.errors += 1
                self.unknown |= effects
                time.sleep(_AGAIN_SECONDS)
            else:
                self.expected |= effects
                self.jobs += len(effects)
                return True
        return False


def parcels(tasks: Any) -> Iterator[Parcel]:
    """Yield parcels: mostly plain jobs in bulk, and some of everything else."""
    while True:
        yield _together(tasks)
        for _ in range(3):
            for task in (tasks.plain, tasks.coroutine, tasks.plain, tasks.coroutine):
                yield _in_bulk(task)
            for task in (tasks.retrying, tasks.aretrying):
                yield _in_bulk(task, size=100, attempts=("/0", "/1"))
            for _ in range(10):
                yield _in_a_row(tasks)
            for _ in range(20):
                yield _one_by_one(tasks.plain)


def singles(tasks: Any) -> Iterator[Parcel]:
    """Yield one job, or one after the other, at a time, for workers that wait for each."""
    while True:
        yield _one_by_one(tasks.plain)
        yield _in_a_row(tasks)
        yield _in_bulk(tasks.plain, size=1)
        yield _in_bulk(tasks.coroutine, size=2)


def _in_bulk(task: Any, size: int = _BATCH, attempts: tuple[str, ...] = ("",)) -> Parcel:
    def send(name: str) -> None:
        for _ in task.enqueue_many(f"b{name}-{number}" for number in range(size)):
            pass

    return Parcel(send, lambda name: (f"b{name}-{number}{end}" for number in range(size) for end in attempts))


def _in_a_row(tasks: Any) -> Parcel:
    def send(name: str) -> None:
        chain(tasks.coroutine.si(f"c{name}.0"), tasks.plain.si(f"c{name}.1"), tasks.member.si(f"c{name}.2"))()

    return Parcel(send, lambda name: (f"c{name}.{step}" for step in range(3)))


def _together(tasks: Any) -> Parcel:
    def send(name: str) -> None:
        chord([tasks.member.si(f"m{name}-{number}") for number in range(_MEMBERS)])(tasks.gathered.s(f"g{name}"))

    def effects(name: str) -> Iterator[str]:
        yield f"g{name}={_MEMBERS}"
        yield from (f"m{name}-{number}" for number in range(_MEMBERS))

    return Parcel(send, effects)


def _one_by_one(task: Any) -> Parcel:
    def send(name: str) -> None:
        task_id = new_id()
        while True:
            try:
                asyncio.run(task.aapply_async((f"a{name}",), task_id=task_id))
            except (DispatchTimeout, OperationalError):
                time.sleep(_AGAIN_SECONDS)
            else:
                return

    return Parcel(send, lambda name: (f"a{name}",))
