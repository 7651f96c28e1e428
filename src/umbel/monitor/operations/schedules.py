"""Entries of the schedule: to run now, besides the times at which they are due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from umbel.errors import UnknownName
from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations.desk import Desk

__all__ = ("ScheduleOperations",)


class ScheduleOperations:
    """``jobs.operations.schedules``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk

    def run_now(self, name: str, *, by: Actor, job_id: str | None = None) -> Outcome:
        """Dispatch the job of an entry, as its next tick would; when that is due does not change.

        ``job_id``: the new job's id, with which a second call does nothing while the store knows the first one's job.
        Raises :exc:`UnknownName`.
        """
        with self._desk.action(by, "schedule.run", name) as entry:
            found = (self._app.conf.beat_schedule or {}).get(name)
            if found is None:
                raise UnknownName("schedule", name)
            result = self._dispatch(name, found, job_id)
            entry.note(job=str(result.id))
        return Outcome(text=f"{name!r} was dispatched as job {result.id}.", target=name, job_id=str(result.id))

    def _dispatch(self, name: str, found: Any, job_id: str | None) -> Any:
        # A command that runs nothing of the schedule does without it.
        from celery.beat import ScheduleEntry, Scheduler

        entry = found if isinstance(found, ScheduleEntry) else ScheduleEntry(**dict(found, name=name, app=self._app))
        options = {**entry.options, "headers": {**(entry.options.get("headers") or {}), "umbel_once": True}}
        if job_id is not None:
            options["task_id"] = job_id
        once = ScheduleEntry(
            name, entry.task, None, 0, entry.schedule, entry.args, entry.kwargs, options, app=self._app
        )
        # Only its way of dispatching: it leads nothing, and has no schedule.
        return Scheduler(self._app, lazy=True).apply_async(once, advance=False)
