"""Events as a log tells them, with envelopes as Umbel sends them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from umbel.engine import envelope
from umbel.monitor.history import History
from umbel.state.events import Ended, Ends, Event, Logged, Queued

__all__ = ["Recorder", "ended", "ends", "failure", "payload", "queued", "success"]

START = 1_800_000_000.0


def payload(task_id: str, task: str = "shop.add", args: Any = (), kwargs: Any = None, **headers: Any) -> str:
    """Return an envelope; ``headers`` are added to the usual ones."""
    body = json.dumps([list(args), kwargs or {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    known = {"lang": "py", "task": task, "id": task_id, "root_id": task_id, "parent_id": None, "group": None}
    return envelope.encode(
        {
            "body": b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {**known, "retries": 0, "eta": None, "expires": None, "timelimit": [None, None], **headers},
            "properties": {"body_encoding": "base64", "delivery_tag": "t", "priority": 0, "delivery_info": {}},
        }
    )


def queued(
    task_id: str, at: float = START, *, queue: str = "default", due: float | None = None, **about: Any
) -> Queued:
    priority = about.pop("priority", 0)
    return Queued(task_id, queue, priority, at, due, payload(task_id, **about))


def success(task_id: str, result: Any = None) -> str:
    return json.dumps({"status": "SUCCESS", "result": result, "traceback": None, "children": [], "task_id": task_id})


def failure(
    task_id: str, kind: str = "ValueError", message: Any = ("no",), module: str = "builtins", **more: Any
) -> str:
    error = {"exc_type": kind, "exc_message": message, "exc_module": module}
    return json.dumps({"status": "FAILURE", "result": error, "traceback": "Traceback", "task_id": task_id, **more})


def ended(task_id: str, state: str = "SUCCESS", started: float = START + 1, ran: float = 2.0, **more: Any) -> Ended:
    """Return an end; ``started=0`` is one of what never began."""
    document = more.pop("document", None)
    if document is None and state in ("FAILURE", "RETRY"):
        document = failure(task_id)
    elif document is None and state == "SUCCESS":
        document = success(task_id)
    at = more.pop("at", (started or START + 1) + ran)
    return Ended(
        task_id,
        more.pop("queue", "default"),
        more.pop("attempt", 0),
        state,
        more.pop("queued", 0.0),
        started,
        at,
        document,
        **more,
    )


def ends(*all_: Ended | None, worker: str = "w1@host", release: str | None = "r1") -> Ends:
    return Ends(worker, release, list(all_))


class Recorder:
    """Writes events of one store, read by read."""

    def __init__(self, history: History, store: str = "shop") -> None:
        self.history = history
        self.store = store
        self._reads = 0

    def tell(self, *events: Event | Ended) -> None:
        """Write ``events`` as one read of the log."""
        self._reads += 1
        after = self.history.cursor(self.store)
        told = tuple(ends(one) if isinstance(one, Ended) else one for one in events)
        self.history.write(self.store, Logged(f"{self._reads}-0", told), after=after)
