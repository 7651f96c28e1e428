"""Jobs: to cancel, to retry, to run again with other arguments, to delete, to put back; one, or all that fit.

Each job that fits is done by itself, as one is, so that whatever two people want at a time of one job happens once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from umbel.errors import (
    DispatchError,
    JobError,
    JobFinished,
    JobNotFound,
    LetterBusy,
    LetterError,
    LetterNotFound,
    NotDeletable,
    NotLost,
    OperationError,
)
from umbel.monitor.operations.again import Again
from umbel.monitor.operations.outcomes import Bulk, Outcome, Tally
from umbel.monitor.operations.selection import JobSelection
from umbel.states import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

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
_LATE: Final = (JobFinished, JobNotFound, LetterBusy, LetterNotFound, NotDeletable)


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
        return self._all(selection, by, "cancel", "cancelled", self._cancel_row)

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
        return self._all(selection, by, "retry", "queued again", self._retry_row)

    def _retry_row(self, row: JobRow) -> bool:
        if row.state is not JobState.FAILED:
            return False
        letters = self._app.dead_letters
        letter = letters.current([row.id]).get(row.id)
        if letter is None or letter.replaying:
            return False
        done = letters.replay_these([letter])
        if done.damaged:
            raise OperationError(f"The message of job {row.id!r} is damaged.")
        return bool(done.count)

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

        return self._all(selection, by, "rerun", "queued as new jobs", rerun_row)

    # -- delete, put back -------------------------------------------------------------------------------------

    def delete(self, job_id: str, *, by: Actor) -> Outcome:
        """Forget a job that has ended: its history, its result, its dead letter.

        Raises :exc:`JobNotFound`, :exc:`NotDeletable` for one that has not ended.
        """
        with self._desk.action(by, "job.delete", job_id):
            self._delete(self._app.history.jobs.job(job_id).job)
        return Outcome(text=f"Job {job_id} is deleted.", target=job_id)

    def delete_all(self, selection: JobSelection, *, by: Actor) -> Bulk[JobSelection]:
        """Forget those of what was previewed that have ended, one step of it. Raises :exc:`SelectionChanged`."""

        def delete_row(row: JobRow) -> bool:
            if row.state.finished:
                self._delete(row)
            return row.state.finished

        return self._all(selection, by, "delete", "deleted", delete_row)

    def put_back(self, job_id: str, *, by: Actor) -> Outcome:
        """Queue a job again that is lost, with its own message; however many do so at a time, once.

        Raises :exc:`NotLost` with where it is.
        """
        with self._desk.action(by, "job.put_back", job_id):
            done = self._app.where.put_back(job_id)
            if not done.queued:
                raise NotLost(job_id, " ".join((done.now.text, *done.now.notes)))
        return Outcome(text=f"Job {job_id} was put back. {done.now.text}", target=job_id, state=JobState.QUEUED)

    def _delete(self, row: JobRow) -> None:
        if not self._app.history.drop_ended([row.number]):
            # It was asked a moment ago: it goes on, or somebody else has deleted it.
            raise NotDeletable(row.id, row.state)
        self._app.engine.forget(row.id)
        letters = self._app.dead_letters
        letters.drop([letter for letter in letters.current([row.id]).values() if not letter.replaying])

    # -- all that fit -----------------------------------------------------------------------------------------

    def _all(
        self, selection: JobSelection, by: Actor, verb: str, done: str, act: Callable[[JobRow], bool]
    ) -> Bulk[JobSelection]:
        with self._desk.action(by, f"jobs.{verb}", selection.text, previewed=selection.count) as entry:
            jobs = self._app.history.jobs
            selection.check(jobs)
            tally, before = Tally(), selection.before or selection.upto + 1
            ends = time.monotonic() + _SECONDS
            following: int | None = before
            try:
                while following is not None and tally.seen < STEP and time.monotonic() < ends:
                    page = jobs.find(selection.where, before=following, limit=min(_PAGE, STEP - tally.seen))
                    for row in page.jobs:
                        _count(tally, act, row)
                    following = page.next
            finally:
                entry.note(done=tally.done, left_alone=tally.left_alone, failed=tally.failed)
        return tally.bulk(done, None if following is None else selection.going_on(following))


def _count(tally: Tally, act: Callable[[JobRow], bool], row: JobRow) -> None:
    try:
        tally.count(act(row))
    except _LATE:
        tally.count(False)
    except _OWN as error:
        tally.fail(error)
