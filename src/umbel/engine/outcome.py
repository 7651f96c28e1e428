"""What a body may say of its own end, by returning or by raising it: the engine's side.

The outcomes themselves are in :mod:`umbel.jobs.outcomes`. A body that gives none pays for one ``isinstance``.
"""

from __future__ import annotations

from typing import Any

from celery._state import get_current_task
from celery.exceptions import Ignore

__all__ = ("CancelledItself", "Outcome", "Replaced", "is_running", "meaning_of")


class Outcome(Exception):
    """What a body says of its own end."""

    def conclude(self, task: Any) -> BaseException:
        """Do what is said to the job that ``task`` runs now, and return what Celery's tracer is to see."""
        raise NotImplementedError


class CancelledItself(Ignore):
    """Tells the worker that the job is cancelled, by its own word; ``args`` is the reason."""


class Replaced(Ignore):
    """Tells the worker that another job goes on in this one's place, under its id."""


def is_running(task: Any) -> bool:
    """Whether ``task`` runs as a job, and was not just called."""
    return task is not None and not task.request.called_directly


def meaning_of(outcome: Outcome) -> BaseException:
    """Return what to raise when a body has given ``outcome``."""
    task = get_current_task()
    if not is_running(task) or getattr(task, "declared", None) is not None:
        # What is declared looks first: the outermost of it concludes.
        return outcome
    return outcome.conclude(task)
