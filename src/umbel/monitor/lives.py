"""A job's life as its events tell it: pure, and right in every order in which they can come.

A store tells events in their order, with two exceptions. What one step does is told in any order: a retry's message
before the end that led to it, or after. And where messages and the log are kept apart, an end may be told before its
queueing. So an event is placed by what it says itself: retries, the number of a replay, times.

- An end is final, unless it says that the job runs again, or the job's message is one that the execution itself queued.
- A message of a job that has ended begins its life anew if it is a later replay, or was queued after that execution
  began; else it is the one that the end was about, and only tells what was not known.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from umbel.engine.failures import fingerprint
from umbel.monitor.documents import Outcome, outcome_in, returned
from umbel.monitor.messages import Told, told_by
from umbel.monitor.texts import clean
from umbel.state.events import Ended, Queued
from umbel.states import JobState, from_celery

__all__ = ("DEFERRED", "INTERRUPTED", "Attempt", "Execution", "Job", "Life")

#: Attempts that are no tries: given back, because the worker ended; put off, by the job itself.
INTERRUPTED: Final = "interrupted"
DEFERRED: Final = "deferred"

#: One that was given back, and one that took its process with it.
_GIVEN_BACK: Final = ("REQUEUED", "CRASHED")
_IGNORED: Final = "IGNORED"
#: So far two stores' words for one moment may be from each other, in seconds.
_SAME: Final = 0.001
_FAILURES: Final = frozenset({JobState.FAILED.value, JobState.RETRYING.value})
_ENDS: Final = frozenset(state.value for state in JobState if state.finished)


class Job(Struct, gc=False):
    """A row of ``umbel_jobs``, with names where that has numbers; the fields stand as its columns do."""

    number: int
    task_id: str
    task: str | None = None
    queue: str | None = None
    worker: str | None = None
    release: str | None = None
    state: str = JobState.QUEUED.value
    priority: int = 0
    queued_at: float = 0.0
    message_at: float | None = None
    due_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    waited: float | None = None
    ran: float | None = None
    attempts: int = 0
    told_attempts: int = 0
    retries: int = 0
    replays: int = 0
    owner: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    batch_id: str | None = None
    fingerprint: str | None = None
    error_type: str | None = None
    progress: str | None = None
    error_message: str | None = None
    arguments: str | None = None
    result: str | None = None


class Attempt(Struct, frozen=True, gc=False):
    """A row of ``umbel_attempts``, likewise."""

    job: int
    place: int
    retries: int
    state: str
    queued_at: float | None
    started_at: float | None
    ended_at: float
    worker: str | None
    release: str | None
    error_type: str | None = None
    error_message: str | None = None
    traceback: str | None = None


class Execution(Struct, frozen=True, gc=False):
    """What counts of an execution: the word for its end, and seconds."""

    word: str
    waited: float | None
    ran: float | None


class Life:
    """One job while events are told of it, and what that changes."""

    __slots__ = (
        "attempts",
        "drops_message",
        "is_changed",
        "is_new",
        "is_older",
        "is_told",
        "job",
        "payload",
        "tags",
        "was_print",
        "was_told",
    )

    def __init__(self, job: Job, *, is_new: bool, was_told: bool = False) -> None:
        self.job = job
        self.is_new = is_new
        #: Whether something of its life has changed, or of who it is.
        self.is_changed = is_new
        self.is_told = False
        #: Whether it was dispatched earlier than was known.
        self.is_older = False
        #: Whether its message has told who it is.
        self.was_told = was_told
        #: With which failures it was counted before.
        self.was_print = job.fingerprint
        self.tags: tuple[str, ...] = ()
        self.attempts: list[Attempt] = []
        #: A new message, and whether there is none any more.
        self.payload: str | None = None
        self.drops_message = False

    # -- a message ------------------------------------------------------------------------------------------------

    def queue(self, event: Queued) -> Told:
        """Take a message that was queued; return what it tells."""
        told = told_by(event.payload)
        job = self.job
        if not self._is_late(event, told):
            self._keep_success()
            self._reopen()
            job.state = _waiting(told.retries, event.due)
            job.retries, job.replays = told.retries, told.replays
            self._take(event)
        elif self._is_present(event, told):
            job.replays = told.replays
            self._take(event)
        if not job.queued_at or event.at < job.queued_at:
            job.queued_at = event.at
            self.is_older = True
        self._tell(told)
        return told

    def _take(self, event: Queued) -> None:
        """Take it as the message that the job has now."""
        job = self.job
        job.queue, job.priority = clean(event.queue), event.priority
        job.message_at, job.due_at = event.at, event.due
        self._keep(event.payload)
        self.is_changed = True

    def _is_late(self, event: Queued, told: Told) -> bool:
        """Whether the job has already gone on from this message."""
        job, known = self.job, self.job.message_at
        began = job.started_at or job.ended_at
        if job.state in _ENDS:
            if job.state == JobState.FAILED.value and told.replays > job.replays:
                # A replay comes after its failure, whatever its sender's clock says.
                return known is not None and abs(event.at - known) <= _SAME
            return event.at <= (began or 0.0) or (known is not None and event.at <= known + _SAME)
        if (told.replays, told.retries) != (job.replays, job.retries):
            return (told.replays, told.retries) < (job.replays, job.retries)
        return (known is not None and event.at < known) or (began is not None and event.at <= began)

    def _is_present(self, event: Queued, told: Told) -> bool:
        """Whether a late message is the one that the job has, or has failed with."""
        job, known = self.job, self.job.message_at
        if job.state in _ENDS and job.state != JobState.FAILED.value:
            return False
        if known is not None and abs(event.at - known) <= _SAME:
            return True
        is_alike = (told.replays, told.retries) == (job.replays, job.retries)
        return is_alike and (known is None or event.at >= known)

    def _reopen(self) -> None:
        job = self.job
        if job.state in _ENDS:
            job.started_at = job.ended_at = job.waited = job.ran = job.result = None
            job.worker = job.release = None

    def _tell(self, told: Told) -> None:
        job = self.job
        if self.was_told or told.task is None:
            return
        self.was_told = self.is_told = True
        job.task, job.owner, job.arguments = told.task, told.owner, told.arguments
        job.parent_id, job.root_id = told.parent_id, told.root_id
        job.group_id, job.batch_id = told.group_id, told.batch_id
        self.tags = told.tags

    def _keep(self, payload: str) -> None:
        self.payload, self.drops_message = payload, False

    # -- a beginning ----------------------------------------------------------------------------------------------

    def begin(self, event: Ended, worker: str, release: str | None) -> None:
        """Take that an execution has begun, unless the job is known to have gone on from there."""
        job = self.job
        if event.payload is not None:
            self._tell(told_by(event.payload))
        if event.started <= max(job.started_at or 0.0, job.ended_at or 0.0):
            return
        if job.state in _ENDS:
            self._begin_anew()
        job.state, job.retries = JobState.RUNNING.value, event.attempt
        job.queued_at = job.queued_at or event.queued or event.started
        job.queue = job.queue or clean(event.queue)
        job.waited = self._waited(event)
        job.started_at, job.ended_at, job.ran = event.started, None, None
        job.worker, job.release = worker, release
        if event.queued and event.queued > (job.message_at or 0.0):
            job.message_at = event.queued
        self.is_changed = True

    # -- an end ---------------------------------------------------------------------------------------------------

    def end(self, event: Ended, worker: str, release: str | None) -> Execution:
        """Take the end of an execution; return what counts of it."""
        job = self.job
        if event.payload is not None:
            self._tell(told_by(event.payload))
        if job.state in _ENDS:
            self._begin_anew()
        if not job.queued_at:
            job.queued_at = event.queued or event.started or event.ended
        if job.queue is None:
            job.queue = clean(event.queue)
        if event.result is not None:
            outcome = returned(event.result)
        else:
            outcome = outcome_in(event.document, failed=event.state not in ("SUCCESS", _IGNORED))
        word = _word(event, outcome)
        counts = Execution(word, self._waited(event), max(0.0, event.ended - event.started) if event.started else None)
        if event.started and word not in (INTERRUPTED, DEFERRED):
            job.attempts += 1
        if word in _ENDS and not (event.state == _IGNORED and self._has_replaced(event)):
            self._finish(event, counts, outcome, worker, release)
        else:
            self._go_on(event, counts, outcome, worker, release)
        if event.started and not (word == JobState.SUCCEEDED.value and job.state == word):
            self._add_attempt(
                word,
                event.attempt,
                (event.queued or None, event.started, event.ended),
                (worker, release),
                (outcome.error_type, outcome.error_message, outcome.traceback),
            )
        self.is_changed = True
        return counts

    def _begin_anew(self) -> None:
        """Let a job that had ended be one of whose message nothing has been told: that of before has been used up."""
        job = self.job
        self._keep_success()
        self._reopen()
        job.state = JobState.QUEUED.value
        job.message_at = job.due_at = None
        job.retries = job.replays = 0

    def _has_replaced(self, event: Ended) -> bool:
        """Whether the body has queued another message of this very job, as ``self.replace`` does."""
        job = self.job
        return event.started > 0 and (job.message_at or 0.0) > event.started

    def _finish(self, event: Ended, counts: Execution, outcome: Outcome, worker: str, release: str | None) -> None:
        job, word = self.job, counts.word
        self._note(event, counts, outcome, worker, release)
        job.state, job.ended_at, job.retries = word, event.ended, event.attempt
        job.result = outcome.result if word == JobState.SUCCEEDED.value else None
        if event.queued:
            job.message_at = event.queued
        if word == JobState.FAILED.value:
            if event.payload is not None:
                self._keep(event.payload)
        else:
            self.payload, self.drops_message = None, not self.is_new

    def _go_on(self, event: Ended, counts: Execution, outcome: Outcome, worker: str, release: str | None) -> None:
        """Take an end after which the job runs again, unless it is known to have gone on from there."""
        job = self.job
        if event.attempt + 1 < job.retries:
            return
        follows = self._is_queued_since(event)
        self._note(event, counts, outcome, worker, release)
        if event.payload is not None and not follows:
            self._keep(event.payload)
        if counts.word == JobState.RETRYING.value:
            job.state = counts.word
        elif event.attempt >= job.retries and not follows:
            job.state = _waiting(event.attempt, None)
        if event.queued and event.queued > (job.message_at or 0.0):
            job.message_at = event.queued
        job.retries = max(job.retries, event.attempt)

    def _is_queued_since(self, event: Ended) -> bool:
        """Whether the message of what follows has been told of before this end was."""
        known = self.job.message_at
        return known is not None and known > (event.started or event.ended)

    def _note(self, event: Ended, counts: Execution, outcome: Outcome, worker: str, release: str | None) -> None:
        job = self.job
        job.worker, job.release = worker, release
        job.started_at = event.started or None
        job.waited, job.ran = counts.waited, counts.ran
        job.error_type, job.error_message = outcome.error_type, outcome.error_message
        # One that was cancelled has an error as well, and has not failed.
        job.fingerprint = _print_of(outcome, job.task) if counts.word in _FAILURES else None
        if outcome.progress is not None:
            job.progress = outcome.progress

    def _waited(self, event: Ended) -> float | None:
        """Return how long the message waited after it was due; None where that cannot be known."""
        job = self.job
        since = event.queued or job.message_at
        if not event.started or since is None or (not event.queued and since > event.started):
            return None
        if job.due_at is not None and since < job.due_at <= event.started:
            since = job.due_at
        return max(0.0, event.started - since)

    def _keep_success(self) -> None:
        """Give a success that the job goes on after a row of its own: its own row is about what comes."""
        job = self.job
        if job.state == JobState.SUCCEEDED.value and job.started_at and job.ended_at is not None:
            times = (job.message_at, job.started_at, job.ended_at)
            self._add_attempt(job.state, job.retries, times, (job.worker, job.release), (None, None, None))

    def _add_attempt(
        self,
        word: str,
        retries: int,
        times: tuple[float | None, float, float],
        place: tuple[str | None, str | None],
        error: tuple[str | None, str | None, str | None],
    ) -> None:
        job = self.job
        job.told_attempts += 1
        self.attempts.append(Attempt(job.number, job.told_attempts, retries, word, *times, *place, *error))


def _waiting(retries: int, due: float | None) -> str:
    if retries:
        return JobState.RETRYING.value
    return (JobState.QUEUED if due is None else JobState.SCHEDULED).value


def _word(event: Ended, outcome: Outcome) -> str:
    if event.state in _GIVEN_BACK:
        return INTERRUPTED
    if event.state == "RETRY" and outcome.is_put_off:
        return DEFERRED
    state = from_celery(event.state, expired=outcome.is_expired)
    # What a body has called its end by, before it said Ignore: nothing follows.
    return (state if state.finished or state is JobState.RETRYING else JobState.SUCCEEDED).value


def _print_of(outcome: Outcome, task: str | None) -> str | None:
    return None if outcome.error_type is None else fingerprint(outcome.error_type, outcome.traceback or "", task)
