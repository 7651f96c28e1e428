"""Celery settings that mean nothing on Umbel's engine and pool, and what does instead (C1).

A worker says at its start which of them have been set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from umbel.engine.registry import is_served

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("ineffective_settings",)

_AHEAD: Final = "the engine fetches ahead by what jobs take"
_ENGINE: Final = {
    "worker_prefetch_multiplier": _AHEAD,
    "worker_disable_prefetch": _AHEAD,
    "worker_eta_task_limit": "delayed jobs wait in the store, not in the worker",
    "task_reject_on_worker_lost": "the job of a lost worker always runs again, at most UMBEL_CRASH_LIMIT times alone",
    "worker_deduplicate_successful_tasks": "a live worker's job is never handed out twice",
    "beat_schedule_filename": "the last runs are kept in the store",
    "broker_heartbeat": "the kernel tells when a process is gone",
}
_POOL: Final = {
    "worker_soft_shutdown_timeout": "UMBEL_GRACE says how long running jobs may take to end",
}
_SUPERVISED: Final = {
    "worker_max_tasks_per_child": "only 'umbel worker' replaces its processes",
    "worker_max_memory_per_child": "only 'umbel worker' replaces its processes",
}
_TRANSPORT: Final = {
    "visibility_timeout": "a lease lasts as long as its process",
    "polling_interval": "waiting processes are woken",
}


def ineffective_settings(app: Umbel) -> Iterator[str]:
    """Yield a sentence for each setting that somebody has made and that has no effect."""
    made: Any = app.conf.changes
    if not is_served(app.conf.broker_url):
        return
    table = dict(_ENGINE)
    if str(app.conf.worker_pool).startswith("umbel."):
        table.update(_POOL)
        if not os.environ.get("UMBEL_SUPERVISED"):
            table.update(_SUPERVISED)
    for name, instead in table.items():
        if made.get(name) is not None:
            yield f"{name} has no effect here: {instead}."
    for name, instead in _TRANSPORT.items():
        if name in (made.get("broker_transport_options") or {}):
            yield f"broker_transport_options[{name!r}] has no effect here: {instead}."
