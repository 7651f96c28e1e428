"""What an engine is: the batched operations that every store implements, and the shapes they exchange.

An engine moves whole batches: one call is one round trip, however many messages it carries. It is synchronous and
thread-safe; times are unix seconds. What there is one of a job is a ``Struct``, a fraction of a dataclass's cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as also
from typing import Any

from msgspec import Struct, field

from umbel.engine.batches import Batches, MemberEnd
from umbel.engine.leader import Leader
from umbel.engine.letters import DeadLetter, Letters, ReplayEnd
from umbel.engine.moving import Moving
from umbel.engine.registers import Groups, Names, Primitives
from umbel.engine.uniques import UniqueKey, Uniques
from umbel.state.events import Ended

__all__ = (
    "ChordPart",
    "DeadLetter",
    "Delivery",
    "Engine",
    "Location",
    "Outgoing",
    "QueueStatus",
    "Record",
    "ReplayEnd",
    "Settled",
    "Settlement",
    "Stored",
    "WorkerStatus",
)


class Outgoing(Struct, frozen=True, gc=False):
    """A message on its way into a queue. ``payload`` is Kombu's envelope as JSON text."""

    queue: str
    payload: str
    task_id: str | None = None
    priority: int = 0
    due: float | None = None
    once: bool = False  # not queued again while the store still knows this id
    #: What its headers say of its task, owner, retries and expiry, where the sender has them at hand.
    about: tuple[Any, ...] | None = None
    unique: UniqueKey | None = None
    revived: bool = False  # once, although a passing state is known: its message is known to be lost


class Delivery(Struct, frozen=True, gc=False):
    """A message as fetched. ``seq`` names it until it is settled."""

    seq: int
    queue: str
    payload: str
    deliveries: int
    suspect: bool = False
    enqueued: float = 0.0
    rank: int = 9  # 9 minus its priority
    task_id: str | None = None
    verdict: str | None = None  # why it is to fail without running
    cancelled: bool = False


class Record(Struct, gc=False):
    """The state of one job, as the result backend wants it stored."""

    task_id: str
    state: str
    final: bool
    meta: bytes | str
    attempt: int = 0
    task: str | None = None
    queue: str | None = None
    owner: str | None = None
    expires: float | None = None
    #: When the message behind this state was queued: only a later one may overwrite an end.
    since: float = 0.0
    first: bool = False  # whether it gives way to any passing state that is there


class ChordPart(Struct, frozen=True):
    """One finished member of a chord. ``token`` is handed back when the chord is complete."""

    group_id: str
    task_id: str
    place: int
    result: bytes | str
    size: int | None
    token: Any = None


class Settled(Struct, eq=False):
    """What one execution leaves behind; an engine writes it all or not at all.

    ``seq`` is None for what belongs to no delivery. ``action`` is what becomes of the message: ``ack`` removes
    it, ``requeue`` gives it back, ``keep`` leaves it leased, ``crash`` gives it back as one that killed its process.
    """

    seq: int | None = None
    action: str = "keep"
    #: The job has failed for good; or it is a replay that has ended otherwise.
    letter: DeadLetter | ReplayEnd | None = None
    records: list[Record] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    parts: list[ChordPart] = field(default_factory=list)
    fired: str | None = None  # the chord whose callback is among ``outgoing``, which goes out once
    end: MemberEnd | None = None
    forget: str | None = None  # a job whose checkpoints are dropped
    told: Ended | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A job's stored state, as read back."""

    task_id: str
    state: str
    final: bool
    meta: bytes | str
    attempt: int
    task: str | None
    queue: str | None
    owner: str | None
    updated: float


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Counts of one queue. ``consumers`` are live processes that fetch from it, unless it is ``paused``."""

    name: str
    ready: int
    delayed: int
    leased: int
    suspect: int
    consumers: int
    paused: bool = False
    #: What is queued from now on comes after it: see :meth:`Engine.purge`. None where the store cannot tell.
    mark: int | None = also(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One live process that fetches. ``in_flight`` counts the messages that it holds."""

    lease: int
    hostname: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    started: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class Location:
    """Where one job's message is. ``position`` counts from 0 in its queue, or in its line there, when it waits."""

    task_id: str
    queue: str
    task: str | None
    owner: str | None
    priority: int
    due: float | None
    expires: float | None
    lease: int | None
    suspect: bool
    deliveries: int
    crashes: int
    cancelled: bool
    enqueued: float
    retries: int
    position: int | None


class Engine(Primitives, ABC):
    """The store behind the channel. One instance serves all threads of a process, and survives a fork."""

    #: How a URL of this engine begins.
    scheme: str = ""
    #: Where its bands of priority begin: within one the order is that of dispatch.
    bands: tuple[int, ...] = tuple(range(10))
    #: To how many seconds a delay is exact: what comes back may come so much too early.
    delay_step: float = 0.0
    #: Whether asking it means to wait for somebody else, so that work may be done meanwhile.
    far: bool = False
    names: Names
    groups: Groups
    uniques: Uniques
    batches: Batches
    letters: Letters
    moving: Moving
    #: Which release of the application its jobs are of.
    release: str | None = None
    #: Hears of a new lease's token when this process's old one was taken from it.
    on_lease: Callable[[str], None] | None = None

    @abstractmethod
    def check(self) -> None:
        """Open the store, so that what is wrong with it is said now. Raises :exc:`StoreError`."""

    def new_tag(self) -> Any:
        """Return a delivery tag for an envelope on its way in."""
        return 0

    # -- messages ---------------------------------------------------------------------------------------------

    @abstractmethod
    def enqueue(self, messages: Sequence[Outgoing]) -> int:
        """Store ``messages`` durably in one step and wake who waits; return how many were new."""

    def begin_enqueue(self, messages: Sequence[Outgoing]) -> Callable[[], int]:
        """Begin :meth:`enqueue`, and return what waits for its answer and must be called."""
        new = self.enqueue(messages)
        return lambda: new

    @abstractmethod
    def fetch(self, queues: Mapping[str, int], limit: int, *, suspects: bool = False) -> list[Delivery]:
        """Lease up to ``limit`` messages, the most urgent of the first queue first.

        ``queues`` maps names to weights in the order of preference; with all weights 0 the order is strict, else a
        queue gets its share. ``suspects`` takes only what must run alone.
        """

    @abstractmethod
    def most_urgent(self, queues: Mapping[str, int]) -> int | None:
        """Return the lowest rank (9 minus priority) that is ready in ``queues``; None when nothing is."""

    def anew(self, payload: str) -> str:
        """Return the payload of a message that was fetched as that of another message."""
        return payload

    @abstractmethod
    def take(self, queue: str, limit: int) -> list[Delivery]:
        """Remove and return up to ``limit`` messages: for listeners that do not acknowledge."""

    @abstractmethod
    def settle(self, entries: Sequence[Settled]) -> Settlement:
        """Write ``entries`` in one step, each guarded by this process's lease on its message."""

    @abstractmethod
    def reap(self, token: str | None = None, *, crashed: bool = True, overdue: Sequence[int] = ()) -> int:
        """Give back what dead processes held (or the one named); return how many messages that freed.

        ``crashed``: what had started is suspected of it. ``overdue`` are messages that are to fail, because their
        process was killed when they were past their hard limit.
        """

    # -- leases -----------------------------------------------------------------------------------------------

    @abstractmethod
    def open_lease(self, hostname: str, queues: Sequence[str], concurrency: int) -> str:
        """Make this process a holder of messages; return its lease's token."""

    @abstractmethod
    def ensure_lease(self, queues: Sequence[str]) -> None:
        """Open a lease if this process has none."""

    def serve(self, slots: int, queues: Sequence[str]) -> None:
        """Know that this process runs ``slots`` jobs of ``queues`` at a time now: for a broker that sends by itself."""
        return

    @abstractmethod
    def renew(self, tokens: Sequence[str]) -> None:
        """Tell other hosts that the processes of these leases live."""

    @abstractmethod
    def overdue(self, token: str, margin: float) -> list[int]:
        """Return the messages of another process's lease whose jobs are ``margin`` seconds past their hard limit."""

    @abstractmethod
    def suspects(self, queues: Sequence[str] | None = None) -> int:
        """Return how many messages wait to run alone, in ``queues`` or in all."""

    @abstractmethod
    def close_lease(self) -> None:
        """Give back every message that this process still holds, and end its lease."""

    @abstractmethod
    def retire(self) -> None:
        """Note that this process takes no new messages: it is no consumer any more, while it ends what it holds."""

    @abstractmethod
    def started(self, seq: int, limit: float | None = None) -> None:
        """Note that the job of a leased message has begun, and must end within ``limit`` seconds."""

    @abstractmethod
    def wait(self, seconds: float, *, full: bool = False, busy: bool = False) -> bool:
        """Block until something may have come, at most ``seconds``.

        ``full``: this process takes nothing now, and only :meth:`ring` wakes it. ``busy``: jobs run in it, so that
        what is handed to it might have to wait, and is better left for others.
        """

    @abstractmethod
    def ring(self) -> None:
        """Wake this process's own :meth:`wait`."""

    # -- results ----------------------------------------------------------------------------------------------

    @abstractmethod
    def read(self, task_ids: Sequence[str]) -> list[Stored]:
        """Return the stored states of those of ``task_ids`` that have one."""

    @abstractmethod
    def forget(self, task_id: str) -> None:
        """Drop the stored state of a job."""

    @abstractmethod
    def cancel(self, task_id: str, record: Record | None, *, running: bool = True) -> bool:
        """Mark ``task_id`` cancelled, durably, and store ``record`` unless it has ended; False if it had.

        ``running``: stop it also when it has begun.
        """

    @abstractmethod
    def cancelled_here(self) -> list[str]:
        """Return the ids among this process's messages that have been cancelled."""

    @abstractmethod
    def cancel_mark(self) -> int:
        """Return a number that grows with every cancellation."""

    # -- schedules --------------------------------------------------------------------------------------------

    @abstractmethod
    def leader(self, name: str) -> Leader:
        """Return this process's candidacy among the schedulers of the application ``name``."""

    @abstractmethod
    def tick(self, leader: Leader, messages: Sequence[Outgoing], entry: str, last_run: float, runs: int) -> bool:
        """Store the messages of a schedule entry's tick together with the fact that it has run, in one step.

        False if another one leads by now. A tick is known by its entry and its number: stored again, it is stored once.
        """

    @abstractmethod
    def last_ticks(self) -> dict[str, tuple[float, int]]:
        """Return (last run, number of runs) of each schedule entry that has run."""

    # -- for whoever operates ---------------------------------------------------------------------------------

    def pause(self, queue: str) -> None:
        """Let nobody on any host fetch from ``queue`` until it is resumed, durably. What is held goes on."""
        self.names.mark_paused(queue, paused=True)

    def resume(self, queue: str) -> None:
        """Let ``queue`` be fetched from again; who waits for it wakes up."""
        self.names.mark_paused(queue, paused=False)
        self.ring()

    @abstractmethod
    def queues(self) -> list[QueueStatus]:
        """Return the counts of every queue that lasts."""

    @abstractmethod
    def workers(self) -> list[WorkerStatus]:
        """Return the live processes that fetch."""

    @abstractmethod
    def locate(self, task_id: str) -> Location | None:
        """Return where the message of ``task_id`` is; None when it has none."""

    @abstractmethod
    def purge(self, queue: str, *, upto: int | None = None) -> int:
        """Drop what waits in ``queue``, delayed included; ``upto`` a :attr:`QueueStatus.mark`. Return how many."""

    def dead(self, limit: int = 50) -> list[DeadLetter]:
        """Return the newest dead letters."""
        return self.letters.find(limit=limit)

    @abstractmethod
    def sweep(self) -> None:
        """Do what is due now and then: expired results and dead letters, unused queues, the size of the file."""

    @abstractmethod
    def shrink(self) -> None:
        """Give back room that is not needed."""

    @abstractmethod
    def close(self) -> None:
        """Release everything that this process has open."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a :meth:`Engine.settle`: refused entries, and chord parts whose chord is complete."""

    refused: tuple[Settled, ...] = ()
    complete: tuple[ChordPart, ...] = ()
    #: Whether callbacks of batches were queued.
    called: bool = False
