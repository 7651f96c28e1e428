"""What happened to jobs, in PostgreSQL, until it has been recorded.

Read is only what no transaction that is still under way can come before; a long one lets the history wait.
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
        xact, _, number = (after or "0-0").partition("-")
        rows = self._store.run(lambda step: step.rows("event_read", xact, int(number), limit))
        if not rows:
            return None
        return Logged(f"{rows[-1][0]}-{rows[-1][1]}", tuple(_event(*row[2:]) for row in rows))

    def drop(self, last: str) -> None:
        xact, _, number = last.partition("-")
        self._store.run(lambda step: step.do("event_drop", xact, int(number)))

    def lost(self) -> int:
        rows = self._store.run(lambda step: step.rows("event_lost"))
        return int(rows[0][0]) if rows else 0

    def size(self) -> int:
        return int(self._store.run(lambda step: step.rows("event_size"))[0][0])

    def tell(self, step: Step, packed: bytes) -> None:
        """Tell what is settled, in the caller's transaction."""
        if packed and step.tells and _has_room(step, 1):
            step.do("event_ended", packed)


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
