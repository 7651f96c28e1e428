"""The remote control commands of Celery's that mean more here; all others are Celery's own.

They are registered when this module is imported, as Celery registers its own.
"""

from __future__ import annotations

from typing import Any

from celery.worker import control, state

from umbel.engine.delivered import Fed

__all__ = ("revoke", "shutdown")


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


@control.control_command(name="shutdown")  # type: ignore[untyped-decorator]
def shutdown(panel: Any, msg: str = "Got shutdown from remote", **kwargs: Any) -> Any:
    """Shut down worker(s). The supervisor does not replace them."""
    panel.consumer.controller.dismissed = True
    return control.shutdown(panel, msg, **kwargs)
