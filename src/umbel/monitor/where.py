"""Where is my job: one answer for any id, out of everything that may know of it.

    found = jobs.where.find("292cb3ff-8b26-40a8-a585-7108ddf8224f")
    print(found.place, found.text)

Asked are the engine (queues, leases, limits), results, dead letters, the outbox of transactional dispatch, the worker
that runs it, and the history. What cannot be asked just now is said in the notes, and the others answer.

A job is *lost* when the history says that it waits or runs, and nothing else knows of it: no queue and no lease has its
message, no worker runs it, it has no end, and all that the store has told is written down; and nothing was heard of it
for a minute. :meth:`WhereIs.put_back` queues its message again, however many ask for that at a time: once, because the
store takes it only while it knows no message and no end of this job (with RabbitMQ: because the message keeps its key,
which one worker claims).
Costs: some round trips, and up to a second while a worker is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from umbel.engine.store import Outgoing
from umbel.errors import ConfigurationError, JobNotFound, StoreError
from umbel.jobs.status import put_off_reason
from umbel.monitor.live import ask_worker, ask_workers
from umbel.monitor.reasons import explain
from umbel.monitor.whereabouts import Facts, InOutbox, Place, Whereabouts
from umbel.settings import data_directory

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.store import Location
    from umbel.jobs.outbox_relay import Relay
    from umbel.jobs.status import JobStatus
    from umbel.monitor.history import History

__all__ = ("PutBack", "WhereIs")

_T = TypeVar("_T")
#: What was heard of so lately is no loss.
_LOST_SECONDS: Final = 60.0
#: So many events that are not in the history yet are looked through.
_UNREAD_MOST: Final = 10_000
#: Out of so many seconds a queue's pace is known.
_PACE_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class PutBack:
    """Whether a job was queued again, and where it is now."""

    queued: bool
    now: Whereabouts


class WhereIs:
    """Finds the jobs of one application: ``jobs.where``. Safe to share among threads."""

    def __init__(self, app: Umbel) -> None:
        self._app: Final = app

    def find(self, task_id: str, *, live: bool = True) -> Whereabouts:
        """Return where a job is. ``live``: ask the worker that runs it where it stands. Raises :exc:`StoreError`."""
        return explain(self._facts(str(task_id), live=live))

    def put_back(self, task_id: str) -> PutBack:
        """Queue a job again that is lost, with its own message; any other one stays as it is.

        Raises :exc:`StoreError`; asking again is safe.
        """
        task_id = str(task_id)
        facts = self._facts(task_id, live=True)
        history = self.history
        if not facts.lost or facts.row is None or history is None:
            return PutBack(False, explain(facts))
        payload = history.jobs.message(task_id)
        if payload is None:
            return PutBack(False, _without_message(explain(facts)))
        row, now = facts.row, time.time()
        due = row.due_at if row.due_at is not None and row.due_at > now else None
        message = Outgoing(row.queue or "", payload, task_id, row.priority, due, once=True, revived=True)
        queued = bool(self._app.engine.enqueue([message]))
        return PutBack(queued, self.find(task_id, live=False))

    # -- what is known ----------------------------------------------------------------------------------------

    def _facts(self, task_id: str, *, live: bool) -> Facts:
        app, engine = self._app, self._app.engine
        # What is told of a job is written before it is gone: so the history is asked after the engine.
        location = engine.locate(task_id)
        try:
            status = self._discreet(app.status(task_id))
        except JobNotFound:
            status = None
        letters = engine.letters.read([task_id])
        facts = Facts(
            job_id=task_id,
            status=status,
            location=location,
            queues={queue.name: queue for queue in engine.queues()},
            workers=engine.workers(),
            letter=letters[0] if letters else None,
        )
        facts = self._with_row(facts)
        if status is not None and status.state.finished:
            return facts
        if location is None or _is_nowhere(facts, location):
            return self._gone(facts)
        return self._waiting(facts) if location.lease is None else self._running(facts) if live else facts

    def _discreet(self, status: JobStatus) -> JobStatus:
        """Return a status without what stands encrypted at rest: of an error its type, as with dead letters."""
        if not self._app.protection.encrypts:
            return status
        kind = None if status.error is None else status.error.partition(":")[0]
        return replace(status, error=kind, result=None, meta=None)

    def _with_row(self, facts: Facts) -> Facts:
        def read() -> Facts:
            history = self.history
            return facts if history is None else replace(facts, row=history.jobs.job(facts.job_id).job)

        try:
            return self._noted(facts, "The history", read)
        except JobNotFound:
            return facts

    @staticmethod
    def _noted(facts: Facts, what: str, read: Callable[[], Facts]) -> Facts:
        try:
            return read()
        except StoreError as error:
            note = f"{what} could not be asked: {error}"
            return facts if note in facts.notes else replace(facts, notes=(*facts.notes, note))

    def _waiting(self, facts: Facts) -> Facts:
        location = facts.location
        assert location is not None
        app = self._app
        if location.due is not None:
            bases = app.limits.bases(location.task, location.queue)
            limits = tuple(app.engine.limits.promised(facts.job_id, bases)) if bases else ()
            return replace(facts, limits=limits, put_off=put_off_reason(app.engine, app.backend, facts.job_id))
        return self._noted(facts, "The history", lambda: replace(facts, rate=self._rate(location.queue)))

    def _rate(self, queue: str) -> float | None:
        """Return how many jobs of a queue end in a second, as it has gone lately."""
        if self.history is None:
            return None
        now = time.time()
        points = self.history.charts.series(since=now - _PACE_SECONDS, until=now, step=60, queue=queue)
        ended = sum(point.counts[word] for point in points for word in ("succeeded", "failed", "retried"))
        return ended / (now - points[0].start) if points and ended else None

    def _running(self, facts: Facts) -> Facts:
        lease = facts.location.lease if facts.location is not None else None
        worker = next((one.hostname for one in facts.workers if one.lease == lease), None)
        return facts if worker is None else replace(facts, live=ask_worker(self._app, facts.job_id, worker))

    # -- what is nowhere --------------------------------------------------------------------------------------

    def _gone(self, facts: Facts) -> Facts:
        """Look for a job whose message no queue and no worker has."""
        facts = self._noted(facts, "The outbox", lambda: replace(facts, outbox=self._in_outbox(facts.job_id)))
        if facts.outbox is not None or facts.letter is not None or (facts.row is not None and facts.row.state.finished):
            return facts
        if facts.row is None and facts.status is None:
            return facts
        live, all_said = ask_workers(self._app, facts.job_id, [one.hostname for one in facts.workers])
        if live is not None:
            return replace(facts, live=live)
        if not all_said:
            return replace(facts, notes=(*facts.notes, "A worker did not answer whether it runs it: ask again."))
        return self._noted(facts, "The history", lambda: self._lost(facts))

    def _lost(self, facts: Facts) -> Facts:
        if self.history is None or facts.row is None or not self._is_told(self.history, facts.job_id):
            return facts
        # What was told until then is written now.
        row = self.history.jobs.job(facts.job_id).job
        times = (row.queued_at, row.message_at, row.due_at, row.started_at, row.ended_at)
        quiet = time.time() - max(one for one in times if one is not None) > _LOST_SECONDS
        # Of a message that nobody told of, which a plain client has sent, no record says where it waits.
        lost = quiet and row.message_at is not None and not row.state.finished
        return replace(facts, row=row, lost=lost, notes=(*facts.notes, *self._doubts()))

    def _is_told(self, history: History, job_id: str) -> bool:
        """Whether all that the store has told of a job is in the history: of others there is always more to come."""
        events = self._app.engine.events
        position = history.cursor(events.identity())
        if position is None or not events.is_kept():
            return False
        unread = events.read(_UNREAD_MOST, position)
        if unread is None:
            return True
        return len(unread.events) < _UNREAD_MOST and not any(one.tells_of(job_id) for one in unread.events)

    def _doubts(self) -> tuple[str, ...]:
        missing = self._app.engine.events.lost()
        if not missing:
            return ()
        return (f"The history has a hole of {missing} entries of the store's log: this job's end may be among them.",)

    # -- whom to ask ------------------------------------------------------------------------------------------

    @cached_property
    def _relay(self) -> Relay | None:
        url = self._app.settings.database_url
        if url is None:
            return None
        try:
            from umbel.jobs.outbox_relay import Relay
        except ImportError:
            return None
        return Relay(url, self._app.main or "", lambda: self._app.engine)

    def _in_outbox(self, task_id: str) -> InOutbox | None:
        if self._relay is None:
            return None
        from umbel.jobs.outbox_relay import asking

        try:
            with asking(self._relay):
                row = self._relay.find(task_id)
        except ConfigurationError:
            # It has no such table.
            return None
        return None if row is None else InOutbox(task=row[0], queue=row[1], created=row[2], error=row[3])

    @property
    def history(self) -> History | None:
        """The history, if there is one; looking for it makes none."""
        settings: Any = self._app.settings
        if settings.history_url is None and not (data_directory(settings) / "history.db").exists():
            return None
        try:
            return self._app.history
        except ConfigurationError:
            return None


def _is_nowhere(facts: Facts, location: Location) -> bool:
    """Whether a job's record says that it waits in a queue in which nothing is."""
    queue = facts.queues.get(location.queue)
    waits = location.lease is None and location.due is None and location.position is None
    return waits and (queue is None or not (queue.ready or queue.leased or queue.suspect))


def _without_message(found: Whereabouts) -> Whereabouts:
    note = "Its message was not kept, so it cannot be put back: dispatch it again."
    return replace(found, place=Place.UNKNOWN, code="lost_sight", notes=(*found.notes, note))
