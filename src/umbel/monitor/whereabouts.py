"""The answer to where a job is: one shape for the command line, the API and the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from umbel.engine.stacks import Frame
from umbel.state.events import Line

if TYPE_CHECKING:
    from umbel.engine.store import DeadLetter, Location, QueueStatus, WorkerStatus
    from umbel.jobs.status import JobStatus
    from umbel.monitor.jobs_view import JobRow

__all__ = ("Facts", "InOutbox", "Live", "Place", "Whereabouts")


class Place(StrEnum):
    """Where a job can be."""

    #: Dispatched in a transaction, and not published yet.
    OUTBOX = "outbox"
    QUEUED = "queued"
    DELAYED = "delayed"
    RETRYING = "retrying"
    #: It waits for its start under a limit, for a slot or a lock.
    LIMITED = "limited"
    #: A worker has it, and it has not begun.
    RESERVED = "reserved"
    RUNNING = "running"
    ENDED = "ended"
    DEAD = "dead"
    #: It has not ended, and it is nowhere: it can be put back.
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What the worker of a job that runs says of it now."""

    worker: str
    running: bool
    since: float | None = None
    #: ``thread``, ``coroutine`` or ``process``, a prefork child.
    kind: str | None = None
    #: The outermost first.
    frames: tuple[Frame, ...] = ()
    omitted: int = 0
    waits: str | None = None
    #: Whether its process did not answer in time.
    silent: bool = False
    #: What it has logged last.
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InOutbox:
    """A job's row in the outbox. ``error``: why it stands aside."""

    task: str
    queue: str
    created: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one job."""

    job_id: str
    status: JobStatus | None = None
    location: Location | None = None
    queues: Mapping[str, QueueStatus] = field(default_factory=dict)
    workers: Sequence[WorkerStatus] = ()
    letter: DeadLetter | None = None
    #: What the history says.
    row: JobRow | None = None
    outbox: InOutbox | None = None
    live: Live | None = None
    #: The limits for a start under which it waits, and why it has put itself off.
    limits: tuple[str, ...] = ()
    put_off: str | None = None
    #: How many jobs of its queue end in a second.
    rate: float | None = None
    lost: bool = False
    #: What could not be asked.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where one job is, and why. Times are unix seconds; what is not known is None."""

    id: str
    place: Place
    #: Why it is there, for programs; the reference lists them.
    code: str
    #: The same for people, and what else is worth knowing.
    text: str
    notes: tuple[str, ...] = ()
    #: A word of :class:`umbel.JobState`.
    state: str | None = None
    task: str | None = None
    queue: str | None = None
    #: How many jobs of its queue go before it.
    position: int | None = None
    #: When it is expected to start, as its queue has gone lately; until when it is delayed.
    expected: float | None = None
    due: float | None = None
    limits: tuple[str, ...] = ()
    deliveries: int | None = None
    error: str | None = None
    worker: str | None = None
    live: Live | None = None

    @property
    def can_put_back(self) -> bool:
        """Whether :meth:`umbel.monitor.where.WhereIs.put_back` queues it again."""
        return self.place is Place.LOST

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values that any JSON encoder takes."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "live"}
        found.update(place=self.place.value, notes=list(self.notes), limits=list(self.limits))
        return {**found, "can_put_back": self.can_put_back, "live": None if self.live is None else _live(self.live)}


def _live(live: Live) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(live, name) for name in live.__slots__}
    frames = [{name: getattr(one, name) for name in one.__struct_fields__} for one in live.frames]
    lines = [{name: getattr(one, name) for name in one.__struct_fields__} for one in live.lines]
    return {**found, "frames": frames, "lines": lines}
