"""Batches: many jobs counted together, and what is queued when they have ended.

A member is counted once, by its id, in the step that writes its end (:class:`MemberEnd` in
:class:`umbel.engine.store.Settled`), and the callbacks that this makes due are queued in the same step: nothing comes
between them. A callback is a whole message, kept with the batch from its beginning. Costs of a settlement: two writes
a member and one a batch, however large the batch is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from umbel.engine.store import Outgoing, Record

__all__ = (
    "ANY",
    "BATCH",
    "BATCH_KIND",
    "CANCELLED",
    "CHORD_KIND",
    "CHORD_SECONDS",
    "DONE",
    "FAILED",
    "KEPT_SECONDS",
    "KINDS",
    "MILLION",
    "OPEN_SECONDS",
    "Batches",
    "MemberEnd",
    "Plan",
    "Tally",
)

#: The header that names a member's batch.
BATCH: Final = "umbel_batch"
#: How a member ends. A failure that a replay mends is done.
DONE, FAILED, CANCELLED = "d", "f", "c"
#: The callbacks, in the order in which those that are due together are queued.
KINDS: Final = ("then", "catch", "finally")
#: Any number of members may fail.
ANY: Final = -1
MILLION: Final = 1_000_000
#: How long a batch is kept after its last member's end, and how long one that does not end is, in seconds.
KEPT_SECONDS: Final = 7 * 86_400
OPEN_SECONDS: Final = 30 * 86_400
#: What a counter counts for. A chord is kept for so long after what was heard of it last.
BATCH_KIND, CHORD_KIND = "batch", "chord"
CHORD_SECONDS: Final = 7 * 86_400


class MemberEnd(Struct, frozen=True, gc=False):
    """The end of a batch's member."""

    batch: str
    task_id: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A batch as it begins.

    ``allowed`` is how many members may fail: a number, with ``share`` of a million, or :data:`ANY`. ``opener`` is the
    id of the job that opens it.
    """

    id: str
    name: str
    allowed: int = 0
    share: bool = False
    owner: str | None = None
    opener: str | None = None
    callbacks: Mapping[str, Sequence[Outgoing]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A batch as it is now. Times are unix seconds; ``gone`` members were cancelled, expired or purged."""

    id: str
    name: str
    allowed: int
    share: bool
    owner: str | None
    opener: str | None
    closed: bool
    cancelled: bool
    total: int
    done: int
    failed: int
    gone: int
    #: Which callbacks have been queued, or would have been if there were any.
    fired: tuple[str, ...]
    created: float
    updated: float
    finished: float | None
    #: It is on its way from or to another store: its members are counted, and nothing is queued.
    held: bool = False
    #: :data:`BATCH_KIND`, or :data:`CHORD_KIND`.
    kind: str = BATCH_KIND
    #: How many members were announced by their number; ``total`` are those that were added one by one.
    size: int = 0

    @property
    def pending(self) -> int:
        """How many members have not ended."""
        return self.total + self.size - self.done - self.failed - self.gone

    @property
    def beyond(self) -> bool:
        """Whether more members have not succeeded than may."""
        bad = self.failed + self.gone
        if self.allowed == ANY:
            return False
        return bad * MILLION > self.allowed * self.total if self.share else bad > self.allowed

    @property
    def takes_no_more(self) -> bool:
        """Whether it is over, so that nothing can be added."""
        return self.cancelled or "finally" in self.fired

    def due(self) -> list[str]:
        """Return which callbacks are to be queued now. Lua says the same in ``lua/counter_keys.lua``."""
        if self.held:
            return []
        ended = self.closed and self.pending <= 0
        if self.kind == CHORD_KIND:
            return ["finally"] if ended and not self.fired else []
        # A share is one of all members, who are not known before the batch is closed.
        wanted = {
            "then": ended and not self.cancelled and not self.beyond,
            "catch": self.beyond and not self.cancelled and (self.closed or not self.share),
            "finally": ended,
        }
        return [kind for kind in KINDS if wanted[kind] and kind not in self.fired]


class Batches(Protocol):
    """The batches of one store. Each call is one step."""

    def open(self, plan: Plan) -> bool:
        """Begin a batch; False if it is there already, which changes nothing."""

    def add(self, batch_id: str, messages: Sequence[Outgoing]) -> int:
        """Queue jobs as members; return how many were new: what is a member already is not queued again.

        Raises :exc:`BatchNotFound`, and :exc:`BatchEnded` for new ones of a batch that is over; then nothing is queued.
        """

    def close(self, batch_id: str) -> None:
        """Note that the batch has been described: from now on it may end."""

    def cancel(self, batch_id: str) -> bool:
        """Mark the batch cancelled: nothing can be added, and of its callbacks only ``finally`` follows.

        False if it is over, or there is none.
        """

    def stop(self, records: Sequence[Record]) -> None:
        """Cancel many jobs in one step, as :meth:`umbel.engine.store.Engine.cancel` does one.

        Those that have ended stay as they are.
        """

    def read(self, batch_id: str) -> Tally | None:
        """Return a batch as it is now."""

    def find(self, limit: int) -> list[Tally]:
        """Return the newest batches."""

    def stale(self, before: float, limit: int) -> list[Tally]:
        """Return batches that have not ended, and of which nothing was heard since ``before``."""

    def pending(self, batch_id: str) -> Iterator[list[tuple[str, bool]]]:
        """Yield the members that have not ended, some hundreds at a time, and whether each has a message."""

    def repair(self, batch_id: str) -> None:
        """Count the members anew, and queue what is due."""

    def sweep(self) -> None:
        """Drop what is kept no longer."""
