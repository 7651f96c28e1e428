"""What an application offers to whoever looks after its jobs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from umbel.jobs.cancel import cancel_job
from umbel.jobs.dead_letters import DeadLetters
from umbel.jobs.status import JobStatus, read_status
from umbel.states import JobState

if TYPE_CHECKING:
    from umbel.monitor.where import WhereIs

__all__ = ("WithOversight",)


class WithOversight:
    """A part of :class:`umbel.Umbel`."""

    def status(self, task_id: str) -> JobStatus:
        """Return what is known of a job. Raises :exc:`JobNotFound`."""
        app: Any = self
        return read_status(app.engine, app.backend, str(task_id))

    def cancel(self, task_id: str) -> JobState:
        """Cancel a job for good. Raises :exc:`JobNotFound` or :exc:`JobFinished`."""
        app: Any = self
        return cancel_job(app.engine, app.backend, str(task_id))

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """The jobs that failed for good, to find, replay and drop."""
        app: Any = self
        return DeadLetters(lambda: app.engine)

    @cached_property
    def where(self) -> WhereIs:
        """Where any job is, and putting back one that is lost. See :mod:`umbel.monitor.where`."""
        from umbel.monitor.where import WhereIs

        app: Any = self
        return WhereIs(app)
