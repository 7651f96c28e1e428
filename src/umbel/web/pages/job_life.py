"""The life of a job as a chart: when it was delayed, when it waited, when it ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from umbel.states import JobState
from umbel.web.charts.figure import Figure, Tone
from umbel.web.charts.timeline import Stretch, timeline

if TYPE_CHECKING:
    from umbel.monitor.jobs_view import JobDetails, JobRow, PastAttempt

__all__ = ("life_of",)

_GOOD: Final = "succeeded"


def life_of(found: JobDetails, now: float) -> Figure:
    """Return the chart of a job, an attempt a row; what goes on goes on until ``now``."""
    return timeline(id="life", title="When it waited and ran", stretches=list(_stretches(found, now)))


def _stretches(found: JobDetails, now: float) -> Iterator[Stretch]:
    job, since = found.job, found.job.queued_at
    for row, attempt in enumerate(found.attempts):
        yield from _attempt(row, since if attempt.queued_at is None else attempt.queued_at, attempt, job)
        since = attempt.ended_at
    if not job.state.finished:
        yield from _going_on(len(found.attempts), since, now, job)


def _going_on(row: int, since: float, now: float, job: JobRow) -> Iterator[Stretch]:
    is_running = job.state in (JobState.RUNNING, JobState.PROGRESS) and job.started_at is not None
    started = job.started_at if is_running and job.started_at is not None else now
    yield from _waiting(row, since, started, job.due_at)
    if is_running:
        yield Stretch(row=row, name="runs", tone=Tone.PLAIN, since=started, until=max(started, now))


def _attempt(row: int, queued: float, attempt: PastAttempt, job: JobRow) -> Iterator[Stretch]:
    started = attempt.ended_at if attempt.started_at is None else attempt.started_at
    yield from _waiting(row, queued, started, job.due_at)
    if attempt.started_at is not None:
        tone = Tone.GOOD if attempt.state == _GOOD else Tone.BAD
        yield Stretch(row=row, name=f"ran ({attempt.state})", tone=tone, since=started, until=attempt.ended_at)


def _waiting(row: int, since: float, until: float, due: float | None) -> Iterator[Stretch]:
    """Yield the time before a start, the part of it apart in which the job was not due yet."""
    if due is not None and since < due:
        yield Stretch(row=row, name="delayed", tone=Tone.MORE, since=since, until=max(since, min(due, until)))
        since = min(due, until)
    if until > since:
        yield Stretch(row=row, name="waited", tone=Tone.WAIT, since=since, until=until)
