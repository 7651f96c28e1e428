"""What a person may do: to jobs, dead letters, queues, workers, limits, schedules, batches and alerts.

    jobs.operations.queues.pause("mail", by=actor)
    selection = jobs.operations.jobs.preview(JobFilter(states=frozenset({JobState.FAILED}), task="shop.charge"))
    jobs.operations.jobs.retry_all(selection, by=actor)

A page, the API and a command call the same functions. Each takes ``by``, who it is that acts; refuses a viewer
(:exc:`NotPermitted`); writes one entry into the audit log, also when it was refused or has failed; and returns a frozen
outcome, with a sentence for a person. What is done to all that fit a filter is previewed first, does what was previewed
and nothing that came later, in steps of bounded size. While the audit log cannot be read nothing is done; commands,
which give ``without_log``, do it all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from umbel.monitor.operations.alerts import AlertOperations
from umbel.monitor.operations.batches import BatchOperations
from umbel.monitor.operations.desk import Desk, Entry
from umbel.monitor.operations.effects import EffectOperations
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
    from umbel.monitor.actors import Actor

__all__ = ("Bulk", "JobSelection", "LetterSelection", "Operations", "Outcome")


class Operations:
    """What may be done to everything behind one application: ``jobs.operations``."""

    def __init__(self, app: Umbel, *, without_log: Callable[[str], object] | None = None) -> None:
        """``without_log`` hears, once, why no entry is written, where things are to be done without an audit log."""
        desk = Desk(app, without_log)
        self._desk: Final = desk
        self.alerts: Final = AlertOperations(app, desk)
        self.batches: Final = BatchOperations(app, desk)
        self.effects: Final = EffectOperations(app, desk)
        self.jobs: Final = JobOperations(app, desk)
        self.letters: Final = LetterOperations(app, desk)
        self.limits: Final = LimitOperations(app, desk)
        self.queues: Final = QueueOperations(app, desk)
        self.schedules: Final = ScheduleOperations(app, desk)
        self.workers: Final = WorkerOperations(app, desk)

    def action(self, by: Actor, action: str, target: str, **detail: Any) -> AbstractContextManager[Entry]:
        """Write down as one entry what is done in a block, for what is nobody else's: ``broker.release``.

        Raises :exc:`NotPermitted`, and a :exc:`StoreError`.
        """
        return self._desk.action(by, action, target, **detail)
