"""Events: what happened to jobs, on its way from those who did it into the history.

A store keeps them in their order until the recorder has written them down, and only while there is one: whoever records
says so every now and then, and when it has not been heard of for a day nothing more is kept. What exceeds the bound of
the log is not kept either; it is counted, so that the history can say that it has a hole.

A message is told of in the step that queues it, and an execution in the step that settles it: what is in the log has
happened, and what has happened is in the log. An execution whose settlement was refused is not told of.
Costs: one write a message queued, one a batch settled; no round trip.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec
from msgspec import Struct

__all__ = (
    "KEPT_SECONDS",
    "MOST",
    "Ended",
    "Ends",
    "Event",
    "EventLog",
    "Heard",
    "Line",
    "Lines",
    "Logged",
    "Queued",
    "Teller",
    "pack_ends",
    "unpack_ends",
)

logger = logging.getLogger(__name__)

#: So long after its last word a recorder is waited for.
KEPT_SECONDS: Final = 86_400.0
#: For so long what was heard of a recorder is believed.
_HEARD_SECONDS: Final = 2.0
#: So many entries a log keeps at most: one a message queued, one a batch settled.
MOST: Final = 1_000_000


class Queued(Struct, frozen=True, gc=False):
    """A message has been queued, at ``at``, for ``due`` if that is later. A job's next try is one as well."""

    task_id: str
    queue: str
    priority: int
    at: float
    due: float | None
    #: Kombu's envelope as JSON text.
    payload: str

    def tells_of(self, task_id: str) -> bool:
        """Whether it is about this job."""
        return self.task_id == task_id


class Line(Struct, frozen=True, array_like=True, gc=False):
    """What a job has logged at ``at``, in unix seconds; ``level`` is ``PRINT`` for what it has printed."""

    at: float
    level: str
    logger: str
    text: str


class Lines(Struct, frozen=True, array_like=True, gc=False):
    """What one execution has logged: the first ``head`` of ``lines``, then ``dropped`` more, then the rest of them."""

    lines: tuple[Line, ...]
    head: int = 0
    dropped: int = 0


class Ended(Struct, frozen=True, array_like=True, gc=False):
    """One execution of a job has ended. ``state`` is Celery's name, ``REQUEUED`` for one that was interrupted,
    or ``CRASHED`` for one that took its process with it. With ``STARTED`` it runs still, and ``ended`` is 0: that is
    told only of what runs for longer than it takes to write it down.

    Times are unix seconds: ``queued`` is 0 where the store does not know it, ``started`` for what never began.
    """

    task_id: str
    queue: str
    #: How many tries came before it.
    attempt: int
    state: str
    queued: float
    started: float
    ended: float
    #: Its result document, Celery's JSON; None for a task whose results are ignored.
    document: str | None = None
    #: The message itself, where nothing was told of its queueing: a plain client's.
    payload: str | None = None
    #: What it has logged; None for nothing.
    lines: Lines | None = None
    #: JSON: what a success has returned, instead of a document that says no more.
    result: str | None = None


class Ends(Struct, frozen=True, array_like=True):
    """What one process has settled in one step."""

    worker: str
    release: str | None
    ends: list[Ended | None]

    def tells_of(self, task_id: str) -> bool:
        """Whether it is about this job, among others."""
        return any(one is not None and one.task_id == task_id for one in self.ends)


Event: TypeAlias = Queued | Ends


class Logged(Struct, frozen=True):
    """Some events in their order. ``last`` is the number of the last, by which all of them are dropped."""

    last: str
    events: tuple[Event, ...]


class EventLog(Protocol):
    """The log of one store."""

    @property
    def in_memory(self) -> bool:
        """Whether what waits here takes memory, and not disk."""

    @property
    def known(self) -> bool:
        """Whether what happens is kept, as far as this process has heard: what is asked before something is told."""

    def introduce(self, worker: str, release: str | None) -> None:
        """Say who settles in this process."""

    def identity(self) -> str:
        """Return the store's own name, which it keeps wherever its address leads."""

    def expect(self, seconds: float = KEPT_SECONDS) -> None:
        """Keep what happens from now on, until ``seconds`` after the last such word."""

    def is_kept(self) -> bool:
        """Whether what happens is kept now."""

    def read(self, limit: int, after: str | None = None) -> Logged | None:
        """Return the oldest entries, ``limit`` at most, or those after number ``after``; None when there are none."""

    def drop(self, last: str) -> None:
        """Forget everything up to number ``last``."""

    def lost(self) -> int:
        """Return how many entries have found no room, ever."""

    def size(self) -> int:
        """Return how many entries are kept."""


class Teller:
    """Who settles in this process: the part of a log that is the same everywhere."""

    in_memory = False

    def __init__(self) -> None:
        self._who: tuple[str, str | None] = ("", None)

    def introduce(self, worker: str, release: str | None) -> None:
        """Say who settles in this process."""
        self._who = (worker, release)

    def packed(self, ends: Sequence[Ended | None]) -> bytes:
        """Return what one step has settled as a log keeps it; None stands for what is not told of."""
        return pack_ends(*self._who, ends) if any(ends) else b""


class Heard:
    """Whether somebody records, as it was heard at most two seconds ago."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._at = -math.inf
        #: What was heard last.
        self.kept = False

    def note(self, kept: bool) -> None:
        """Take note of what was heard by the way."""
        self.kept, self._at = kept, time.monotonic()

    def __call__(self) -> bool:
        """Return what was heard, or ask again."""
        if time.monotonic() - self._at > _HEARD_SECONDS:
            self.note(self._ask())
        return self.kept


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Ends).decode


def pack_ends(worker: str, release: str | None, ends: Sequence[Ended | None]) -> bytes:
    """Return what one step has settled as a log keeps it; None stands for what is not told of."""
    return _encode(Ends(worker, release, list(ends)))


def unpack_ends(packed: bytes, refused: Sequence[int] = ()) -> Ends:
    """Return what :func:`pack_ends` has packed, without those whose settlement was refused.

    What another version has packed, and this one cannot read, is left out and logged: it must not hold up the rest.
    """
    try:
        found = _decode(packed)
    except msgspec.MsgspecError as error:
        logger.error("Ends of jobs that another version of Umbel has told are left out of the history: %s", error)
        return Ends("", None, [])
    gone = set(refused)
    kept = [one for number, one in enumerate(found.ends) if one is not None and number not in gone]
    return Ends(found.worker, found.release, list(kept))
