"""How far a job is: told by the job, kept with its state, seen by whoever waits (C21).

Telling costs no round trip: the latest value is written within milliseconds together with whatever else the
worker writes then. Progress never goes back, and ends at its total when the job succeeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from celery import current_task

from umbel.engine.execution import current_execution, current_progress
from umbel.engine.job import current_job

__all__ = ("Progress", "progress")

_LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total``, in whatever unit the job counts, with a line for people."""

    done: float
    total: float
    message: str = ""

    @property
    def fraction(self) -> float:
        """How much is done, from 0.0 to 1.0."""
        return min(1.0, self.done / self.total) if self.total else 1.0

    def as_list(self) -> list[Any]:
        """Return the form that is stored."""
        return [self.done, self.total, self.message]

    @classmethod
    def from_list(cls, value: Any) -> Progress | None:
        """Return what :meth:`as_list` gave, or None for anything else."""
        if not isinstance(value, (list, tuple)) or len(value) != 3:
            return None
        done, total, message = value
        numbers = all(isinstance(one, (int, float)) and math.isfinite(one) for one in (done, total))
        if not numbers:
            return None
        return cls(done, total, str(message))


def progress(done: float, total: float, message: str = "") -> None:
    """Tell how far the running job is. Outside of a job it does nothing.

        for number, row in enumerate(rows, start=1):
            handle(row)
            progress(number, len(rows), f"{row.name} done")

    Raises :exc:`ValueError` for numbers that make no sense (negative, not finite).
    """
    if not (math.isfinite(done) and math.isfinite(total)) or done < 0 or total < 0:
        raise ValueError(f"progress({done!r}, {total!r}): both must be finite and not negative.")
    execution = current_execution.get()
    told = Progress(min(done, total), total, message[:_LONGEST_MESSAGE])
    if execution is None:
        _tell_celery(told)
        return
    told = execution.progress_told = _forward(Progress.from_list(execution.progress), told)
    job = current_job.get()
    if job is not None and job.task is not None and execution.delivery.task_id is not None:
        job.task.backend.store_result(execution.delivery.task_id, {"progress": told.as_list()}, "PROGRESS")


def _forward(known: Progress | None, told: Progress) -> Progress:
    """Return what was told now, or no less than what is known."""
    if known is not None and known.total == told.total and told.done < known.done:
        return Progress(known.done, told.total, told.message)
    return told


def _tell_celery(told: Progress) -> None:
    task = current_task._get_current_object() if current_task else None
    request = task.request if task is not None else None
    if task is not None and request is not None and request.id and not request.called_directly and not request.is_eager:
        # In a prefork child the request is what lives as long as the job.
        told = request.progress_told = _forward(Progress.from_list(current_progress(request)), told)
        task.backend.store_result(request.id, {"progress": told.as_list()}, "PROGRESS", request=request)
