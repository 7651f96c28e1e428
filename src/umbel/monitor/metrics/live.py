"""What is so now, at the store: queues, waits, workers, dead letters, and how far behind the recorder is.

Costs a handful of reads of the store, however many jobs there are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from umbel.monitor.lag import lag

if TYPE_CHECKING:
    from umbel.engine.store import Engine, QueueStatus, WorkerStatus
    from umbel.state.events import EventLog

__all__ = ("Backlog", "Live", "read_live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What has been told and is not in the history yet."""

    #: Entries of the log: one a message queued, one a batch settled.
    entries: int
    #: How long ago the oldest of them was told, in seconds.
    seconds: float
    #: Entries that found no room, ever.
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One reading of a store."""

    queues: tuple[QueueStatus, ...]
    #: For how many seconds the next message of a queue has been due, where something waits and the store tells.
    waits: Mapping[str, float]
    workers: tuple[WorkerStatus, ...]
    dead_letters: int
    #: None where nobody records.
    backlog: Backlog | None

    @property
    def slots(self) -> int:
        """How many jobs can run at a time."""
        return sum(one.concurrency for one in self.workers)

    @property
    def busy(self) -> int:
        """How many of them do: what a process holds beyond its slots waits in it."""
        return sum(min(one.in_flight, one.concurrency) for one in self.workers)

    def within(self, names: Collection[str] | None) -> Live:
        """Return the same with these queues only, and those workers that consume one of them; None is all."""
        if names is None:
            return self
        return Live(
            queues=tuple(one for one in self.queues if one.name in names),
            waits={name: seconds for name, seconds in self.waits.items() if name in names},
            workers=tuple(one for one in self.workers if any(queue in names for queue in one.queues)),
            dead_letters=self.dead_letters,
            backlog=self.backlog,
        )


def read_live(engine: Engine) -> Live:
    """Read everything. Raises :exc:`StoreError`."""
    return Live(
        queues=tuple(engine.queues()),
        waits=engine.names.waits(),
        workers=tuple(engine.workers()),
        dead_letters=engine.letters.count(),
        backlog=_backlog(engine.events),
    )


def _backlog(log: EventLog) -> Backlog | None:
    if not log.is_kept():
        return None
    return Backlog(entries=log.size(), seconds=lag(log), lost=log.lost())
