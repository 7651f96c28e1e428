"""Jobs: to cancel, to retry, to run again with other arguments, to delete, to put back; one, or all that fit.

Whatever two people want at a time of one job happens once: a letter is replayed by its number, a row dropped in a
transaction, a new job known by an id that is made of the old one's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from umbel.errors import (
    DispatchError,
    JobError,
    JobFinished,
    JobNotFound,
    LetterError,
    NotDeletable,
    NotLost,
    OperationError,
)
from umbel.monitor.operations.again import Again
from umbel.monitor.operations.outcomes import Bulk, Outcome, Tally
from umbel.monitor.operations.selection import JobSelection
from umbel.states import JobState

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.job_filter import JobFilter
    from umbel.monitor.jobs_view import JobRow
    from umbel.monitor.operations.desk import Desk

__all__ = ("STEP", "JobOperations")

#: So many jobs are acted on in one step, in pages of so many; and for about so many seconds.
STEP: Final = 1000
_PAGE: Final = 200
_SECONDS: Final = 20.0
#: What one job cannot do, which is no reason to leave the others alone.
_OWN: Final = (JobError, LetterError, OperationError, DispatchError)
#: Somebody else has done it, or it is over.
_LATE: Final = (JobFinished, JobNotFound)


class JobOperations:
    """``jobs.operations.jobs``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk
        self._again: Final = Again(app)

    def preview(self, where: JobFilter) -> JobSelection:
        """Return which jobs fit now, and how many those are."""
        return JobSelection.of(self._app.history.jobs, where)

    # -- cancel -----------------------------------------------------------------------------------------------

    def cancel(self, job_id: str, *, by: Actor) -> Outcome:
        """Cancel a job: one that waits never starts, one that runs is interrupted.

        Raises :exc:`JobNotFound`, :exc:`JobFinished`.
        """
        with self._desk.action(by, "job.cancel", job_id):
            state = self._app.cancel(job_id)
        return Outcome(text=f"Job {job_id} is cancelled.", target=job_id, state=state)

    def cancel_all(self, selection: JobSelection, *, by: Actor) -> Bulk[JobSelection]:
        """Cancel what was previewed, one step of it. Raises :exc:`SelectionChanged`."""
        return self._all(selection, by, "cancel", "cancelled", _each(self._cancel_row))

    def _cancel_row(self, row: JobRow) -> bool:
        if row.state.finished or self._app.status(row.id).state is JobState.CANCELLED:
            return False
        self._app.cancel(row.id)
        return True

    # -- retry ------------------------------------------------------------------------------------------------

    def retry(self, job_id: str, *, by: Actor) -> Outcome:
        """Let a job that failed for good run again, with its id and its attempts: replay its dead letter.

        Raises :exc:`LetterNotFound`, :exc:`LetterBusy`, :exc:`NotReplayable`.
        """
        with self._desk.action(by, "job.retry", job_id):
            self._app.dead_letters.replay(job_id)
        return Outcome(text=f"Job {job_id} runs again.", target=job_id, state=JobState.QUEUED)

    def retry_all(self, selection: JobSelection, *, by: Actor) -> Bulk[JobSelection]:
        """Let those that failed of what was previewed run again, one step of it. Raises :exc:`SelectionChanged`."""

        def retry(rows: Sequence[JobRow], tally: Tally) -> None:
            letters = self._app.dead_letters
            found = letters.current([row.id for row in rows if row.state is JobState.FAILED])
            done = letters.replay_these([letter for letter in found.values() if not letter.replaying])
            tally.done += done.count
            for _ in range(done.damaged):
                tally.fail("A message is damaged")
            tally.left_alone += len(rows) - done.count - done.damaged

        return self._all(selection, by, "retry", "queued again", retry)

    # -- run again --------------------------------------------------------------------------------------------

    def rerun(
        self,
        job_id: str,
        *,
        by: Actor,
        args: Sequence[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        queue: str | None = None,
        new_id: str | None = None,
    ) -> Outcome:
        """Dispatch a new job of the same task, whose parent is this one; without arguments with those of this one.

        ``new_id``: its id, with which a second call does nothing while the store knows the first one's job. Raises
        :exc:`JobNotFound`, :exc:`UnknownName` for a task that is not known here, :exc:`NotRepeatable` when arguments
        have to be given, :exc:`InvalidArguments`, :exc:`PayloadTooLarge`.
        """
        changed = args is not None or kwargs is not None
        with self._desk.action(by, "job.rerun", job_id, changed=changed) as entry:
            given = (list(args or ()), dict(kwargs or {})) if changed else None
            made = self._again.dispatch(self._app.history.jobs.job(job_id), given, queue=queue, new_id=new_id)
            entry.note(job=made)
        return Outcome(text=f"Job {made} was queued.", target=job_id, job_id=made, state=JobState.QUEUED)

    def rerun_all(self, selection: JobSelection, *, by: Actor) -> Bulk[JobSelection]:
        """Dispatch a new job for each that was previewed, with the same arguments, one step of it.

        The ids of the new jobs are made of the selection and the old ids: the same preview, acted on twice, makes each
        once. Raises :exc:`SelectionChanged`.
        """

        def rerun_row(row: JobRow) -> bool:
            new_id = self._again.id_of(row.id, selection)
            if self._app.engine.locate(new_id) is not None or self._app.engine.read([new_id]):
                return False
            self._again.dispatch(self._app.history.jobs.job(row.id), None, new_id=new_id)
            return True

        return self._all(selection, by, "rerun", "queued as new jobs", _each(rerun_row))

    # -- delete, put back -------------------------------------------------------------------------------------

    def delete(self, job_id: str, *, by: Actor) -> Outcome:
        """Forget a job that has ended: its history, its result, its dead letter.

        Raises :exc:`JobNotFound`, :exc:`NotDeletable` for one that has not ended.
        """
        with self._desk.action(by, "job.delete", job_id):
            row = self._app.history.jobs.job(job_id).job
            if not self._forget([row]):
                # It goes on, or somebody else has deleted it a moment ago.
                raise NotDeletable(row.id, row.state)
        return Outcome(text=f"Job {job_id} is deleted.", target=job_id)

    def delete_all(self, selection: JobSelection, *, by: Actor) -> Bulk[JobSelection]:
        """Forget those of what was previewed that have ended, one step of it. Raises :exc:`SelectionChanged`."""

        def delete(rows: Sequence[JobRow], tally: Tally) -> None:
            gone = self._forget([row for row in rows if row.state.finished])
            tally.done += gone
            tally.left_alone += len(rows) - gone

        return self._all(selection, by, "delete", "deleted", delete)

    def put_back(self, job_id: str, *, by: Actor) -> Outcome:
        """Queue a job again that is lost, with its own message; however many do so at a time, once.

        Raises :exc:`NotLost` with where it is.
        """
        with self._desk.action(by, "job.put_back", job_id):
            done = self._app.where.put_back(job_id)
            if not done.queued:
                raise NotLost(job_id, " ".join((done.now.text, *done.now.notes)))
        return Outcome(text=f"Job {job_id} was put back. {done.now.text}", target=job_id, state=JobState.QUEUED)

    def _forget(self, rows: Sequence[JobRow]) -> int:
        """Forget those of these jobs that have ended; return how many were there."""
        gone = self._app.history.drop_ended([row.number for row in rows]) if rows else []
        for one in gone:
            self._app.engine.forget(one)
        letters = self._app.dead_letters
        letters.drop([letter for letter in letters.current(gone).values() if not letter.replaying])
        return len(gone)

    # -- all that fit -----------------------------------------------------------------------------------------

    def _all(
        self, selection: JobSelection, by: Actor, verb: str, done: str, act: Callable[[Sequence[JobRow], Tally], None]
    ) -> Bulk[JobSelection]:
        with self._desk.action(by, f"jobs.{verb}", selection.text, previewed=selection.count) as entry:
            if selection.where.ids is not None:
                entry.note(ids=selection.where.ids)
            jobs = self._app.history.jobs
            selection.check(jobs)
            tally, before = Tally(), selection.before or selection.upto + 1
            ends = time.monotonic() + _SECONDS
            following: int | None = before
            try:
                while following is not None and tally.seen < STEP and time.monotonic() < ends:
                    page = jobs.find(selection.where, before=following, limit=min(_PAGE, STEP - tally.seen))
                    act(page.jobs, tally)
                    following = page.next
            finally:
                entry.note(done=tally.done, left_alone=tally.left_alone, failed=tally.failed)
        return tally.bulk(done, None if following is None else selection.going_on(following))


def _each(act: Callable[[JobRow], bool]) -> Callable[[Sequence[JobRow], Tally], None]:
    """Return what acts on one after the other, whatever becomes of each."""

    def acting(rows: Sequence[JobRow], tally: Tally) -> None:
        for row in rows:
            try:
                tally.count(act(row))
            except _LATE:
                tally.count(False)
            except _OWN as error:
                tally.fail(error)

    return acting
