"""The remote control commands of Celery's that mean more here, and Umbel's own; all others are Celery's.

They are registered when this module is imported, as Celery registers its own.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import signals
from celery.worker import control, state

from umbel.engine import live, profile
from umbel.engine.delivered import Fed

logger = logging.getLogger("celery.worker.control")

__all__ = ("rate_limit", "revoke", "shutdown")

assert live  # registers its command
assert profile  # registers its own


@control.control_command(  # type: ignore[untyped-decorator]
    name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]"
)
def revoke(panel: Any, task_id: Any, terminate: bool = False, signal: Any = None, **kwargs: Any) -> Any:
    """Revoke task by task id (or list of ids); remembered in the store, so that no restart forgets it."""
    ids = [str(one) for one in (task_id if isinstance(task_id, (list, tuple, set)) else [task_id])]
    transport = panel.consumer.connection.transport if panel.consumer.connection else None
    if not isinstance(transport, Fed):
        return control.revoke(panel, ids, terminate, signal, **kwargs)
    for one in ids:
        transport.engine.cancel(one, None, running=terminate)
    state.revoked.update(ids)
    mine = [one for one in ids if not _is_held_elsewhere(transport, one)]
    if mine or terminate:
        return control.revoke(panel, mine, terminate, signal, **kwargs)
    return {"ok": f"tasks {set(ids)} flagged as revoked"}


def _is_held_elsewhere(transport: Fed, task_id: str) -> bool:
    """Whether another process has the job: what becomes of its state is for that process to say.

    Celery asks the job's state instead, which here may not say yet that it has started.
    """
    if task_id in state.requests:
        return False
    location = transport.engine.locate(task_id)
    return location is not None and location.lease is not None


@control.control_command(  # type: ignore[untyped-decorator]
    name="rate_limit",
    args=[("task_name", str), ("rate_limit", str)],
    signature="<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h | 5/d)>",
)
def rate_limit(panel: Any, task_name: str, rate_limit: Any, **kwargs: Any) -> Any:
    """Tell worker(s) to modify the rate limit for a task by type; it is the fleet's, and remembered in the store."""
    transport = panel.consumer.connection.transport if panel.consumer.connection else None
    if not isinstance(transport, Fed):
        return control.rate_limit(panel, task_name, rate_limit, **kwargs)
    refusal = panel.app.limits.control(task_name, rate_limit, transport.engine.limits)
    if refusal is not None:
        return {"error": refusal}
    panel.consumer.reset_rate_limits()
    if not rate_limit:
        logger.info("Rate limits disabled for tasks of type %s", task_name)
        return {"ok": "rate limit disabled successfully"}
    logger.info("New rate limit for tasks of type %s: %s.", task_name, rate_limit)
    return {"ok": "new rate limit set successfully"}


@control.control_command(name="shutdown")  # type: ignore[untyped-decorator]
def shutdown(panel: Any, msg: str = "Got shutdown from remote", **kwargs: Any) -> Any:
    """Shut down worker(s). The supervisor does not replace them."""
    panel.consumer.controller.dismissed = True
    # As a signal does: whoever fetches, and prefork children, are to know it before the last job has ended.
    state.should_stop = 0
    signals.worker_shutting_down.send(sender=panel.hostname, sig="shutdown", how="Warm", exitcode=0)
    return control.shutdown(panel, msg, **kwargs)
