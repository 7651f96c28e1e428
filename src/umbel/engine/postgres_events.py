"""What happened to jobs, in PostgreSQL, until it has been recorded.

Numbers are given in an order in which they may not be committed. So whoever writes holds a shared advisory lock from
before the first number that he is given until his transaction is over, and read is only up to a number that was given
before all who write now began. Transactions of others, long ones too, let nothing wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.postgres_store import PostgresStore, Step
from umbel.engine.store import Outgoing
from umbel.state.events import KEPT_SECONDS, MOST, Event, Heard, Logged, Queued, Teller, unpack_ends

__all__ = ("PostgresEvents", "tell_queued")


class PostgresEvents(Teller):
    """The log of one database."""

    def __init__(self, store: PostgresStore) -> None:
        super().__init__()
        self._store: Final = store
        self._heard = Heard(self.is_kept)
        #: All up to this number have been committed, or never will be.
        self._complete = 0
        #: The last number that was given at an earlier look, and who wrote then and did not end since.
        self._given = 0
        self._writers: frozenset[str] = frozenset()

    @property
    def known(self) -> bool:
        """Whether what happens is kept, as far as this process has heard."""
        self.refresh()
        return self._store.tells

    def refresh(self) -> None:
        """Let the steps that follow know whether what happens is kept: they can ask nothing themselves."""
        self._store.tells = self._heard()

    def identity(self) -> str:
        return str(self._store.run(lambda step: step.rows("event_identity"))[0][0])

    def expect(self, seconds: float = KEPT_SECONDS) -> None:
        self._store.run(lambda step: step.do("event_expect", seconds))

    def is_kept(self) -> bool:
        rows = self._store.run(lambda step: step.rows("event_kept"))
        return bool(rows and rows[0][0])

    def read(self, limit: int, after: str | None = None) -> Logged | None:
        rows = self._store.run(lambda step: self._read(step, _number(after or "0"), limit))
        return Logged(str(rows[-1][0]), tuple(_event(*row[1:]) for row in rows)) if rows else None

    def _read(self, step: Step, after: int, limit: int) -> Sequence[tuple[Any, ...]]:
        # In this order: whoever was given a number before the first question, and is not found by the second one, is
        # over, and what he wrote is there for the third.
        ((given,),) = step.rows("event_given")
        writers = frozenset(str(row[0]) for row in step.rows("event_writers"))
        if not self._writers & writers:
            self._complete, self._given, self._writers = self._given, given, writers
        if not writers:
            self._complete = given
        return step.rows("event_read", after, self._complete, limit)

    def drop(self, last: str) -> None:
        self._store.run(lambda step: step.do("event_drop", _number(last)))

    def lost(self) -> int:
        rows = self._store.run(lambda step: step.rows("event_lost"))
        return int(rows[0][0]) if rows else 0

    def size(self) -> int:
        return int(self._store.run(lambda step: step.rows("event_size"))[0][0])

    def tell(self, step: Step, packed: bytes) -> None:
        """Tell what is settled, in the caller's transaction."""
        if packed and step.tells and _has_room(step, 1):
            step.do("event_ended", packed)


def _number(last: str) -> int:
    """Return an event's number. An older version wrote its transaction's in front of it."""
    return int(last.rpartition("-")[2])


def tell_queued(step: Step, messages: Sequence[Outgoing]) -> None:
    """Tell of messages that are queued, in the caller's transaction."""
    if step.tells and messages and _has_room(step, len(messages)):
        rows = [(one.task_id, one.queue, one.priority, one.due, one.payload) for one in messages]
        step.each("event_queued", rows)


def _has_room(step: Step, count: int) -> bool:
    rows = step.rows("event_room", MOST)
    if not rows or not rows[0][0]:
        return False
    if not rows[0][1]:
        step.do("event_lose", count)
    return bool(rows[0][1])


def _event(
    at: float,
    task_id: str | None,
    queue: str | None,
    priority: int | None,
    due: float | None,
    payload: str | None,
    ends: Any,
) -> Event:
    if ends is not None:
        return unpack_ends(bytes(ends))
    return Queued(task_id or "", queue or "", priority or 0, at, due, payload or "")
