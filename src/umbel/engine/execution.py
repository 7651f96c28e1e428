"""One delivery being executed: what it leaves behind is collected here and settled once.

What Celery's tracer publishes at a job's end (retry, link, chain, errback) and the states that it stores go
into the execution's entry; what the job's own body publishes goes out at once. The current execution stands on a
context variable, so it follows a job through threads' contexts, greenlets and gathered children.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from umbel.engine.batches import BATCH, FAILED, MemberEnd
from umbel.engine.burial import letter_of
from umbel.engine.collecting import offline_producer, publishing_into
from umbel.engine.failures import FAILURES
from umbel.engine.headers import PROGRESS
from umbel.engine.store import Record, ReplayEnd, Settled
from umbel.engine.telling import began_of, ended_of

if TYPE_CHECKING:
    from umbel.engine.flusher import Flusher
    from umbel.engine.holdings import Holding
    from umbel.engine.job_log import Kept
    from umbel.engine.store import Delivery
    from umbel.state.events import Ended

__all__ = (
    "Execution",
    "calling_back",
    "current_execution",
    "current_owner",
    "current_progress",
    "deferring",
    "is_calling_back",
    "is_patient",
    "owned_by",
    "patiently",
    "progress_of",
)

#: For so long after its end a dispatch that is not to be repeated is known by its id.
_REPEAT_SECONDS: Final = 3600.0

current_execution: Final[ContextVar[Execution | None]] = ContextVar("umbel_execution", default=None)
_calling_back: Final[ContextVar[bool]] = ContextVar("umbel_calling_back", default=False)
_owner: Final[ContextVar[str | None]] = ContextVar("umbel_owner", default=None)
_patient: Final[ContextVar[bool]] = ContextVar("umbel_patient", default=False)


class Execution:
    """What one delivery of a job leaves behind."""

    __slots__ = (
        "_flusher",
        "_progress_carried",
        "attempt",
        "batch",
        "carried",
        "checkpoints",
        "closed",
        "delivery",
        "entry",
        "lines",
        "once",
        "owner",
        "progress_told",
        "settled",
        "started",
        "task",
        "told_begun",
        "unrecorded",
    )

    def __init__(
        self, delivery: Delivery, flusher: Flusher, headers: dict[str, Any], *, unrecorded: bool = False
    ) -> None:
        """``unrecorded``: nobody wants its result."""
        self.delivery: Final = delivery
        self.task: str | None = headers.get("task")
        self.attempt: int = int(headers.get("retries") or 0)
        #: The attempts before this one, as they stand in the message's headers.
        self.carried: str | None = headers.get(FAILURES)
        owner = headers.get("umbel_owner")
        self.owner: str | None = None if owner is None else str(owner)
        #: The batch that it is a member of.
        self.batch: str | None = headers.get(BATCH)
        #: Whether it has saved how far it is.
        self.checkpoints = False
        self.entry = Settled(delivery.seq)
        #: What it has logged so far (:mod:`umbel.engine.job_log`); None for nothing.
        self.lines: Kept | None = None
        #: Not to be queued again under its id, of which no result tells.
        self.once = unrecorded and bool(headers.get("umbel_once"))
        self.settled = False
        #: When the job began; 0 while it has not, and while an early acknowledgement is settled, which is no end.
        self.started = 0.0
        self.told_begun = False
        self.unrecorded = unrecorded
        #: A closed execution is one that was given up: whatever still comes from it is dropped.
        self.closed = False
        self._flusher = flusher
        self.progress_told: Any = None
        self._progress_carried: Any = headers.get(PROGRESS)

    @property
    def progress(self) -> list[Any] | None:
        """How far the job is, or was in an earlier try: done, total, message."""
        return progress_of(self.progress_told, self._progress_carried)

    @property
    def told_elsewhere(self) -> bool:
        """Whether a prefork child stores the state of this job, and tells of it."""
        return not self.unrecorded and not self._flusher.in_process

    def successor(self) -> Execution:
        """Close this execution and return another for the same delivery."""
        self.closed = True
        other = Execution.__new__(Execution)
        other.delivery = self.delivery  # type: ignore[misc]
        other.task, other.attempt, other.owner = self.task, self.attempt, self.owner
        other.once, other.carried = self.once, self.carried
        other.batch, other.checkpoints, other.lines = self.batch, self.checkpoints, self.lines
        other.entry = Settled(self.delivery.seq)
        other.settled, other.started = self.settled, self.started
        other.unrecorded, other.told_begun = self.unrecorded, self.told_begun
        other.closed = False
        other._flusher = self._flusher
        other.progress_told, other._progress_carried = self.progress_told, self._progress_carried
        return other

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make this the current execution."""
        token = current_execution.set(self)
        try:
            yield
        finally:
            current_execution.reset(token)

    def record(self, record: Record) -> None:
        """Store a state with this execution's end."""
        self._describe(record)
        if not self.closed:
            self.entry.records.append(record)

    def note(self, task_id: str, make: Callable[[], Record], *, ring: bool = True) -> None:
        """Store a passing state soon, unless the end comes first. Without ``ring``: when the job is looked after."""
        if not self.closed:
            # Acknowledged early, the message is not ours any more, but the job is.
            seq = None if self.settled else self.delivery.seq
            self._flusher.note(seq, task_id, lambda: self._described(make()), self._began, ring=ring)

    def _began(self) -> Ended | None:
        """Return that it has begun, once."""
        told, self.told_begun = self.told_begun, True
        return None if told else began_of(self)

    def bury(self, error: BaseException, *, reason: str | None = None, traceback: str = "") -> None:
        """Keep a dead letter with this execution's end: the job has failed for good."""
        if not self.closed:
            self.ended(FAILED)
            self.entry.letter = letter_of(
                self.delivery,
                reason,
                error=error,
                traceback=traceback,
                release=self._flusher.release,
                carried=self.carried,
                discreet=self._flusher.discreet,
            )

    def end_replay(self, key: str, *, closed: bool) -> None:
        """Tell with this execution's end that a letter's replay has not failed; ``closed``: the letter goes."""
        if not self.closed and self.entry.letter is None:
            self.entry.letter = ReplayEnd(key, closed)

    def forget(self) -> None:
        """Drop what was gathered for its end: the job is to run again."""
        self.entry = Settled(self.delivery.seq)

    def ended(self, outcome: str) -> None:
        """Count this as the end of a batch's member, and let its checkpoints go; a failed job may be replayed."""
        own = self.delivery.task_id
        if self.closed or own is None or any(message.task_id == own for message in self.entry.outgoing):
            # What goes out under its id is its next try, or what it has put in its place.
            return
        if self.batch is not None:
            self.entry.end = MemberEnd(str(self.batch), own, outcome)
        if self.checkpoints and outcome != FAILED:
            self.entry.forget = own

    def settle(self, action: str) -> None:
        """Hand everything over to be written, with what becomes of the message."""
        if self.closed:
            return
        entry, self.entry = self.entry, Settled(None)
        own = self.delivery.task_id
        passing = self._flusher.claim(own) if own is not None else None
        if passing is not None and all(record.task_id != own for record in entry.records):
            # The last state that the body set is the one that stays (a job that ends by Ignore).
            entry.records.insert(0, passing())
        if self.once and action == "ack" and own is not None and not entry.records:
            # Without a result there would be nothing by which a dispatch that repeats this one knows it.
            entry.records.append(self._described(_unrecorded(own)))
        if self.settled:
            entry.seq = None
        entry.action = action
        if self._flusher.tells:
            entry.told = ended_of(self, entry)
        self.settled = True
        self._flusher.submit(entry)

    def finish(self) -> None:
        """Hand over what came after the message was settled (early acknowledgement, hooks)."""
        entry = self.entry
        left = entry.records or entry.outgoing or entry.parts or entry.letter or entry.end or entry.forget
        if self.settled and not self.closed and left:
            self.settle("keep")

    def holding(self) -> Holding | None:
        """Return what the job was granted with its batch, when its body begins; None for nothing, or once taken."""
        return self._flusher.holdings.take(self.delivery.seq)

    def give_back(self, *held: Any) -> None:
        """Let what the body has done with go back with what is settled next."""
        if held:
            self._flusher.holdings.leave(*held)
            if not self.is_open:
                # Its end is on its way, or was.
                self._flusher.hurry()

    def close(self, holding: Holding) -> None:
        """Let what the body has not used of ``holding`` go back: it has come to its end."""
        self._flusher.holdings.close(holding)
        if holding.held and not self.is_open:
            self._flusher.hurry()

    @property
    def is_open(self) -> bool:
        """Whether its end is still to be handed over."""
        return not self.settled and not self.closed

    def conclude(self, *ending: Any) -> None:
        """Let the store be told ``ending`` before it is told this execution's end."""
        self._flusher.holdings.conclude(ending)

    @property
    def times_told(self) -> int:
        """How often this process has told the store what jobs have done with."""
        return self._flusher.holdings.times_told

    def owed(self, since: int) -> bool:
        """Tell the store now what it has not been told; return whether it has been told anything after ``since``."""
        holdings = self._flusher.holdings
        if holdings.owes or holdings.concludes:
            holdings.tell()
            holdings.give_back()
        return holdings.times_told != since

    def _described(self, record: Record) -> Record:
        self._describe(record)
        return record

    def _describe(self, record: Record) -> None:
        if record.task_id == self.delivery.task_id:
            record.task = self.task
            record.queue = self.delivery.queue
            record.owner = self.owner
            record.attempt = self.attempt
            record.since = self.delivery.enqueued


def progress_of(told: Any, carried: Any) -> list[Any] | None:
    """Return what was told of a job's progress as it is stored; else what its message carries, if that is any."""
    if told is not None:
        found: list[Any] = told.as_list()
        return found
    usual = isinstance(carried, list) and len(carried) == 3
    numbers = usual and all(isinstance(one, (int, float)) and math.isfinite(one) for one in carried[:2])
    return [*carried[:2], str(carried[2])] if numbers else None


def current_progress(request: Any) -> list[Any] | None:
    """Return how far the job is that runs here, as ``request``: done, total, message."""
    execution = current_execution.get()
    if execution is not None:
        return execution.progress
    # In a prefork child the request is what lives as long as the job.
    return progress_of(getattr(request, "progress_told", None), getattr(request, PROGRESS, None))


def _unrecorded(task_id: str) -> Record:
    meta: dict[str, Any] = {"status": "IGNORED", "result": None, "traceback": None, "children": [], "task_id": task_id}
    return Record(task_id, "IGNORED", False, json.dumps(meta), expires=time.time() + _REPEAT_SECONDS)


@contextlib.contextmanager
def owned_by(owner: Any) -> Iterator[None]:
    """Let states that are stored here, for a job that does not run, belong to ``owner``."""
    token = _owner.set(owner if isinstance(owner, str) else None)
    try:
        yield
    finally:
        _owner.reset(token)


def current_owner(request: Any) -> str | None:
    """Return to whom the job of ``request`` belongs, or what is stored here."""
    owner = getattr(request, "umbel_owner", None) or _owner.get()
    return None if owner is None else str(owner)


@contextlib.contextmanager
def deferring() -> Iterator[None]:
    """Let what is published here go out with the current execution's end; without one, at once."""
    execution = current_execution.get()
    if execution is None:
        yield
        return
    with publishing_into(execution.entry.outgoing), patiently():
        yield


@contextlib.contextmanager
def patiently() -> Iterator[None]:
    """Wait in this block for a store that is away: what is put together here is nobody's dispatch that could fail."""
    token = _patient.set(True)
    try:
        yield
    finally:
        _patient.reset(token)


def is_patient() -> bool:
    """Whether a store that is away is waited for in this context."""
    return _patient.get() and offline_producer() is None


@contextlib.contextmanager
def calling_back() -> Iterator[None]:
    """Mark that Celery calls errbacks itself in this block, as plain functions."""
    token = _calling_back.set(True)
    try:
        yield
    finally:
        _calling_back.reset(token)


def is_calling_back() -> bool:
    """Whether Celery calls errbacks in this context."""
    return _calling_back.get()
