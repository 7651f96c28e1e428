"""What a person may do: to jobs, dead letters, queues, workers, limits, schedules, batches and alerts.

    jobs.operations.queues.pause("mail", by=actor)
    selection = jobs.operations.jobs.preview(JobFilter(states=frozenset({JobState.FAILED}), task="shop.charge"))
    jobs.operations.jobs.retry_all(selection, by=actor)

A page, the API and a command call the same functions. Each takes ``by``, who it is that acts; refuses a viewer
(:exc:`NotPermitted`); writes one entry into the audit log, also when it was refused or has failed; and returns a frozen
outcome, with a sentence for a person. What is done to all that fit a filter is previewed first, does what was previewed
and nothing that came later, in steps of bounded size. While the audit log cannot be read nothing is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from umbel.monitor.operations.alerts import AlertOperations
from umbel.monitor.operations.batches import BatchOperations
from umbel.monitor.operations.desk import Desk
from umbel.monitor.operations.jobs import JobOperations
from umbel.monitor.operations.letters import LetterOperations
from umbel.monitor.operations.limits import LimitOperations
from umbel.monitor.operations.outcomes import Bulk, Outcome
from umbel.monitor.operations.queues import QueueOperations
from umbel.monitor.operations.schedules import ScheduleOperations
from umbel.monitor.operations.selection import JobSelection, LetterSelection
from umbel.monitor.operations.workers import WorkerOperations

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("Bulk", "JobSelection", "LetterSelection", "Operations", "Outcome")


class Operations:
    """What may be done to everything behind one application: ``jobs.operations``."""

    def __init__(self, app: Umbel) -> None:
        desk = Desk(app)
        self.alerts: Final = AlertOperations(app, desk)
        self.batches: Final = BatchOperations(app, desk)
        self.jobs: Final = JobOperations(app, desk)
        self.letters: Final = LetterOperations(app, desk)
        self.limits: Final = LimitOperations(app, desk)
        self.queues: Final = QueueOperations(app, desk)
        self.schedules: Final = ScheduleOperations(app, desk)
        self.workers: Final = WorkerOperations(app, desk)
