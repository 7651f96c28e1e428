"""What state a job can be in, and how that maps to Celery's own states."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ("CELERY_STATES", "JobState", "from_celery")


class JobState(StrEnum):
    """The state of one job, the same words in the API, the command line and the pages."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PROGRESS = "progress"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def finished(self) -> bool:
        """Whether the job has ended: no state follows."""
        return self in _ENDS


_ENDS: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})

#: Celery's state of each of Umbel's; ``expired`` is a REVOKED whose reason is "expired".
CELERY_STATES: Final = {
    JobState.QUEUED: "PENDING",
    JobState.SCHEDULED: "PENDING",
    JobState.RUNNING: "STARTED",
    JobState.PROGRESS: "PROGRESS",
    JobState.RETRYING: "RETRY",
    JobState.SUCCEEDED: "SUCCESS",
    JobState.FAILED: "FAILURE",
    JobState.CANCELLED: "REVOKED",
    JobState.EXPIRED: "REVOKED",
}

_FROM_CELERY: Final = {
    "PENDING": JobState.QUEUED,
    "RECEIVED": JobState.QUEUED,
    "STARTED": JobState.RUNNING,
    "PROGRESS": JobState.PROGRESS,
    "RETRY": JobState.RETRYING,
    "SUCCESS": JobState.SUCCEEDED,
    "FAILURE": JobState.FAILED,
    "REJECTED": JobState.FAILED,
    "REVOKED": JobState.CANCELLED,
    "IGNORED": JobState.SUCCEEDED,
}


def from_celery(state: str, *, expired: bool = False) -> JobState:
    """Map one of Celery's states, custom ones included, to a :class:`JobState`.

    A custom state (``update_state(state="CROPPING")``) is a job that runs and tells how far it is.
    """
    if expired and state == "REVOKED":
        return JobState.EXPIRED
    return _FROM_CELERY.get(state, JobState.PROGRESS)
