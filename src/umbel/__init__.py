"""Umbel: background jobs for Python web applications, on Celery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from umbel import errors
    from umbel.app import Umbel
    from umbel.jobs.progress import Progress, progress
    from umbel.jobs.status import JobStatus
    from umbel.settings import Settings
    from umbel.states import JobState
    from umbel.task import Task

__all__ = (
    "JobState",
    "JobStatus",
    "Progress",
    "Settings",
    "Task",
    "Umbel",
    "__version__",
    "errors",
    "progress",
)

__version__: Final = "0.1.0"

_HOMES: Final = {
    "JobState": "umbel.states",
    "JobStatus": "umbel.jobs.status",
    "Progress": "umbel.jobs.progress",
    "Settings": "umbel.settings",
    "Task": "umbel.task",
    "Umbel": "umbel.app",
    "progress": "umbel.jobs.progress",
}


def __getattr__(name: str) -> Any:
    # Loaded when first used: 'umbel worker' runs in a supervisor that never needs them.
    import importlib

    if name == "errors":
        return importlib.import_module("umbel.errors")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'umbel' has no attribute {name!r}")
