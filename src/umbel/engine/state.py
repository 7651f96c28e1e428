"""What is kept beside the messages when the broker keeps nothing else (RabbitMQ): one interface, Redis and PostgreSQL.

The broker holds the messages and delivers each at least once. The state store decides who runs it: a delivery is
claimed under its message's key before its job may start, and only the holder of the claim writes the job's end.
A claim ends with the lease of its process; what has ended stays known for an hour, so that a message that the broker
delivers again is not run again. What a job's end publishes stands in the outbox, written in the same step as the end,
until the broker has confirmed it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from umbel.engine.beside_batches import BatchBook
from umbel.engine.lanes import LaneBook
from umbel.engine.leader import Leader
from umbel.engine.leases import LeaseBook
from umbel.engine.letters import LetterBook, Replay
from umbel.engine.registers import Groups, Primitives
from umbel.engine.store import (
    ChordPart,
    Location,
    Outgoing,
    QueueStatus,
    Record,
    Settled,
    Stored,
    WorkerStatus,
)

__all__ = ("ENDED_SECONDS", "Claim", "Claimed", "Keyed", "LeaseEnded", "Outcome", "Posted", "State", "Verdict")

#: So long it is known that the job of a message has ended.
ENDED_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Keyed:
    """A message on its way, with the key that names it wherever it goes."""

    key: str
    message: Outgoing
    task: str | None = None
    owner: str | None = None
    retries: int = 0
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """A message in the outbox. ``token`` names the lease in whose name it was written."""

    number: int
    token: str
    at: float
    message: Outgoing


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that a process wants to run. ``repeated``: the broker has delivered this message before."""

    seq: int
    key: str
    queue: str
    priority: int
    task_id: str | None
    repeated: bool = False
    #: Taken from among the suspects, to run alone.
    alone: bool = False


class LeaseEnded(Exception):
    """The process was out of touch for too long: others have its jobs now."""


class Verdict(StrEnum):
    """What becomes of a claim."""

    RUN = "run"
    #: This process has it already, under ``Claimed.seq``.
    MINE = "mine"
    #: Another process has it.
    HELD = "held"
    ENDED = "ended"
    #: It is to be run alone, and was not claimed for that.
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a :class:`Claim`."""

    verdict: Verdict
    seq: int = 0
    enqueued: float = 0.0
    deliveries: int = 0
    #: Why it is to fail without running.
    condemned: str | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of :meth:`State.settle`: ``posted`` is what is to be published now."""

    refused: tuple[Settled, ...] = ()
    complete: tuple[ChordPart, ...] = ()
    posted: tuple[Posted, ...] = ()


class State(Primitives, ABC):
    """A state store. One instance serves all threads of a process, and survives a fork."""

    groups: Groups
    batches: BatchBook
    leases: LeaseBook
    letters: LetterBook
    lanes: LaneBook

    @abstractmethod
    def check(self) -> None:
        """Open the store, so that what is wrong with it is said now. Raises :exc:`StoreError`."""

    @property
    @abstractmethod
    def shown(self) -> str:
        """Its URL without the password."""

    # -- dispatch ---------------------------------------------------------------------------------------------

    @abstractmethod
    def note(self, messages: Sequence[Keyed]) -> None:
        """Know jobs from now on, before their messages are published."""

    @abstractmethod
    def unnote(self, messages: Sequence[Keyed]) -> None:
        """Forget jobs whose messages could not be published."""

    @abstractmethod
    def note_unique(self, messages: Sequence[Keyed]) -> list[str]:
        """Know those of the jobs whose keys no other job has; return for each the id of the job that has it."""

    @abstractmethod
    def unique_holder(self, name: str) -> str | None:
        """Return the id of the job that has the key ``name``; None if it is free."""

    @abstractmethod
    def queue_names(self) -> list[str]:
        """Return the names of the lasting queues that anybody has used."""

    @abstractmethod
    def note_queues(self, names: Sequence[str]) -> None:
        """Remember lasting queues, so that they are listed and counted."""

    # -- claims -----------------------------------------------------------------------------------------------

    @abstractmethod
    def claim(self, token: str, claims: Sequence[Claim]) -> list[Claimed]:
        """Claim deliveries for the process of lease ``token``, in one step. Raises :exc:`LeaseEnded`."""

    @abstractmethod
    def settle(self, token: str, entries: Sequence[Settled], *, crash_limit: int) -> Outcome:
        """Write ``entries`` in one step, each guarded by the claim of lease ``token`` on its ``seq``."""

    @abstractmethod
    def outbox(self) -> list[Posted]:
        """Return what is written and not known to be published."""

    @abstractmethod
    def posted(self, numbers: Sequence[int]) -> None:
        """Note that messages of the outbox are published."""

    @abstractmethod
    def release(
        self,
        token: str,
        *,
        crash_limit: int,
        crashed: bool,
        started: Sequence[int] = (),
        overdue: Sequence[int] = (),
        beat: float | None = None,
    ) -> int:
        """End a lease and its claims; return how many those were.

        ``crashed``: the jobs that had ``started`` are suspected of it. ``overdue`` ones are to fail. With ``beat``
        only if it has not been renewed since.
        """

    @abstractmethod
    def suspects(self, queues: Sequence[str] | None = None) -> int:
        """Return how many messages wait to run alone, in ``queues`` or in all."""

    # -- results ----------------------------------------------------------------------------------------------

    @abstractmethod
    def read(self, task_ids: Sequence[str]) -> list[Stored]:
        """Return the stored states of those of ``task_ids`` that have one."""

    @abstractmethod
    def forget(self, task_id: str) -> None:
        """Drop the stored state of a job."""

    @abstractmethod
    def cancel(self, task_id: str, record: Record | None, *, running: bool = True) -> bool:
        """Mark ``task_id`` cancelled, durably, and store ``record`` unless it has ended; False if it had."""

    @abstractmethod
    def cancelled_of(self, token: str) -> list[str]:
        """Return the ids among the messages of lease ``token`` that have been cancelled."""

    @abstractmethod
    def cancel_mark(self) -> int:
        """Return a number that grows with every cancellation."""

    # -- schedules and operations -----------------------------------------------------------------------------

    @abstractmethod
    def leader(self, name: str) -> Leader:
        """Return this process's candidacy among the schedulers of the application ``name``."""

    @abstractmethod
    def tick(
        self, leader: Leader, messages: Sequence[Keyed], entry: str, last_run: float, runs: int
    ) -> list[Posted] | None:
        """Put a tick's messages into the outbox, together with the fact that its entry has run; return them.

        None if another one leads by now; nothing if this very tick is known.
        """

    @abstractmethod
    def last_ticks(self) -> dict[str, tuple[float, int]]:
        """Return (last run, number of runs) of each schedule entry that has run."""

    @abstractmethod
    def mark_paused(self, queue: str, *, paused: bool) -> None:
        """Note whether ``queue`` may be fetched from."""

    @abstractmethod
    def paused(self) -> set[str]:
        """Return the queues that may not be fetched from."""

    @abstractmethod
    def counts(self) -> list[QueueStatus]:
        """Return of each queue what is known here: delayed, leased, suspect. The broker knows the rest."""

    @abstractmethod
    def drop_delayed(self, queue: str) -> int:
        """Let the delayed messages of ``queue`` be ended when they come; return how many those are."""

    @abstractmethod
    def workers(self) -> list[WorkerStatus]:
        """Return the live processes that take jobs."""

    @abstractmethod
    def locate(self, task_id: str) -> Location | None:
        """Return what is known of the message of ``task_id``; None when it has none."""

    @abstractmethod
    def replay(self, wanted: Sequence[Replay]) -> list[tuple[int, Posted]]:
        """Put the messages of dead letters into the outbox, each with the fact that it was replayed, in one step.

        Returns, for those that were, the letter's number and what is to be published; see :meth:`Letters.replay`.
        """

    @abstractmethod
    def sweep(self) -> None:
        """Drop what is kept no longer."""

    @abstractmethod
    def close(self) -> None:
        """Close what this process has open."""
