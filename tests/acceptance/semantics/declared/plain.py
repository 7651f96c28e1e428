"""Tasks that compute something, and one that tells all it knows about its own request."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from celery import current_task

from tests.acceptance.semantics.catalogue import coroutine_of, declare, sibling
from tests.acceptance.semantics.trail import note, pass_gate, pass_gate_async

__all__ = ("FROM_PRERUN", "describe")

#: Set by a receiver of ``task_prerun`` to the job's id.
FROM_PRERUN: ContextVar[str | None] = ContextVar("from_prerun", default=None)

_FIELDS = (
    "id",
    "task",
    "args",
    "kwargs",
    "retries",
    "delivery_info",
    "hostname",
    "root_id",
    "parent_id",
    "correlation_id",
    "headers",
    "group",
    "group_index",
    "eta",
    "expires",
    "is_eager",
    "called_directly",
    "timelimit",
    "origin",
    "shadow",
    "argsrepr",
    "kwargsrepr",
    "stamps",
    "stamped_headers",
    "ignore_result",
    "lang",
    "utc",
    "logfile",
    "loglevel",
    "replaced_task_nesting",
)


def describe(task: Any) -> dict[str, Any]:
    """What a running task sees of itself, JSON-safe."""
    seen = {field: getattr(task.request, field, None) for field in _FIELDS}
    seen["headers"] = {key: value for key, value in (seen["headers"] or {}).items() if isinstance(value, str)}
    seen["current"] = current_task.name if current_task else None
    seen["current_id"] = current_task.request.id if current_task else None
    seen["worker_task"] = getattr(task.app.current_worker_task, "name", None)
    seen["from_prerun"] = FROM_PRERUN.get()
    return seen


@declare()
def add(x: Any, y: Any = 0) -> Any:
    return x + y


@declare()
def double(x: Any) -> Any:
    return x * 2


@declare()
def total(numbers: list[Any]) -> Any:
    return sum(numbers)


@declare()
def echo(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), kwargs]


@declare(bind=True)
def whoami(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return describe(self)


@declare(bind=True)
def routed_by_name(self: Any) -> str:
    return str(self.request.delivery_info["routing_key"])


@declare(bind=True)
def routed_glob_star(self: Any) -> str:
    return str(self.request.delivery_info["routing_key"])


@declare()
def mark(key: str, what: str = "ran", value: Any = None) -> Any:
    note(key, what, value=value)
    return value


@declare()
def remember(value: Any, key: str, what: str = "got") -> Any:
    note(key, what, value=value)
    return value


@declare(ignore_result=True)
def ignored(key: str) -> int:
    note(key, "ran")
    return 42


@declare(bind=True)
def wait_at_gate(self: Any, key: str, value: Any = None) -> Any:
    note(key, "started", id=self.request.id)
    pass_gate(key)
    note(key, "ended", id=self.request.id, seen=self.request.id)
    return value


@coroutine_of("wait_at_gate")
async def wait_at_gate_async(self: Any, key: str, value: Any = None) -> Any:
    note(key, "started", id=self.request.id)
    await pass_gate_async(key)
    note(key, "ended", id=self.request.id)
    return value


@declare(bind=True)
def inside_direct_call(self: Any) -> dict[str, Any]:
    """Call another task directly, and see oneself unchanged before and after."""
    before = describe(self)
    plain = self.app.tasks["sync.add"](2, 3)
    return {"before": before["current_id"], "direct": plain, "after": describe(self)["current_id"]}


@declare(bind=True)
def inside_apply(self: Any) -> dict[str, Any]:
    """Run another task in place with ``apply``, and see both requests apart."""
    inner = self.app.tasks["sync.whoami"].apply()
    return {"inner": inner.result, "outer": describe(self)}


@declare(bind=True)
def refused_wait(self: Any) -> str:
    """Wait for another job's result inside a job."""
    result = sibling(self, "add").delay(1, 1)
    try:
        result.get(timeout=5)
    except RuntimeError as error:
        return type(error).__name__
    return "waited"


@declare(bind=True)
def set_and_read(self: Any, key: str, value: int) -> int:
    """State kept on the task object must not leak between executions."""
    self.kept = value
    note(key, "set")
    pass_gate(key)
    return int(self.kept)


@coroutine_of("set_and_read")
async def set_and_read_async(self: Any, key: str, value: int) -> int:
    self.kept = value
    note(key, "set")
    await pass_gate_async(key)
    return int(self.kept)
