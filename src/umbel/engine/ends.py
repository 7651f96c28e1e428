"""How executions end, and who hears of it: the engine's side of hooks and webhooks.

Every end of a job comes by here once, whichever way it went: a task class has :class:`Ending` in front of it, whose
handlers Celery's tracer calls, on the short path too; what is no handler of Celery's (a cancel, a rejected or refused
message) is told by the request and the consumer. It is told before the end is written, so that each end that is
written has been told at least once (C23).

Ends that are found outside of the job's own thread (a hard time limit, a lost worker, a cancel) are written after a
thread of their own has told of them: neither the event loop of the worker nor its watch over the time limits waits.
Where nobody listens it costs one look at an attribute.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from celery.app.task import Context

from umbel.engine.execution import current_execution
from umbel.engine.threads import Threads

__all__ = (
    "End",
    "Ending",
    "Gathering",
    "Kind",
    "Listener",
    "drain",
    "gathering",
    "has_own",
    "now_or_later",
    "tell_refused",
)

Kind = Literal["success", "retry", "failure", "cancel"]

_THREADS: Final = Threads(8, "umbel-hooks")
_OURS: Final = ("celery.", "umbel.")


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of one execution. ``task`` is None where the message names none that is known."""

    kind: Kind
    task: Any
    #: Celery's context of the job, or what is left of its message.
    request: Any
    result: Any = None
    error: BaseException | None = None
    #: Of a cancel: its time had passed.
    expired: bool = False


class Listener(Protocol):
    """Hears of the ends of an application's jobs."""

    def hears(self, task: Any) -> bool:
        """Whether it wants to know of the jobs of ``task``."""

    def tell(self, end: End) -> None:
        """Hear of ``end``, in the step that writes it. Raises Celery's ``Reject`` if the end must not be written."""


class Gathering:
    """What has to be called before the end of ``request`` is written, from a thread of its own."""

    __slots__ = ("_calls", "request")

    def __init__(self, request: Any = None) -> None:
        self.request = request
        self._calls: list[Callable[[], None]] = []

    def add(self, call: Callable[[], None]) -> None:
        """Call it before the end is written."""
        self._calls.append(call)

    def conclude(self, then: Callable[[], None]) -> None:
        """Call everything, and ``then``; at once if there is nothing else."""
        if not self._calls:
            then()
            return
        future = _THREADS.submit(contextvars.copy_context().run, self._conclude, then)
        _pending.add(future)
        future.add_done_callback(_pending.discard)

    def _conclude(self, then: Callable[[], None]) -> None:
        try:
            for call in self._calls:
                call()
        finally:
            then()


gathering: Final[ContextVar[Gathering | None]] = ContextVar("umbel_gathering", default=None)
_pending: Final[set[Future[None]]] = set()


def now_or_later(call: Callable[[], None]) -> None:
    """Call what may block: here in the job's own thread, else before the end that is gathered is written."""
    found = gathering.get()
    if found is None:
        call()
    else:
        found.add(call)


def drain(timeout: float) -> None:
    """Wait for the ends that are being told, up to ``timeout`` seconds."""
    wait(list(_pending), timeout)


def tell_refused(app: Any, headers: dict[str, Any], error: Exception, then: Callable[[], None]) -> None:
    """Let whoever listens hear of a message that cannot run, and call ``then``."""
    listener: Listener | None = getattr(app, "endings", None)
    name = headers.get("task")
    told = Gathering()
    token = gathering.set(told)
    try:
        if listener is not None:
            task = app.tasks.get(name) if isinstance(name, str) else None
            listener.tell(End(kind="failure", task=task, request=Context({**headers}), error=error))
    finally:
        gathering.reset(token)
        told.conclude(then)


class Ending:
    """In front of every task class: the end of a job is told before the class's own handlers hear of it."""

    app: Any
    request: Any

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> Any:
        """Celery calls it when the result is stored with the job's end."""
        self._tell("success", task_id, args, kwargs, result=retval)
        return super().on_success(retval, task_id, args, kwargs)  # type: ignore[misc]

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> Any:
        """Celery calls it when the job is to run again."""
        self._tell("retry", task_id, args, kwargs, error=exc)
        return super().on_retry(exc, task_id, args, kwargs, einfo)  # type: ignore[misc]

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> Any:
        """Celery calls it when the job has failed for good, in the worker itself if its process was lost."""
        self._tell("failure", task_id, args, kwargs, error=exc)
        return super().on_failure(exc, task_id, args, kwargs, einfo)  # type: ignore[misc]

    def _tell(self, kind: Kind, task_id: str, args: Any, kwargs: Any, **more: Any) -> None:
        listener: Listener | None = getattr(self.app, "endings", None)
        found, execution = gathering.get(), current_execution.get()
        if listener is None or (found is None and execution is not None and execution.closed):
            # It was given up: its end has been told, whatever its body still does.
            return
        request = self.request if found is None else found.request.context
        if request.id != task_id:
            # Told by a worker whose request is one of Celery's own.
            request = Context(id=task_id, args=args, kwargs=kwargs, called_directly=False)
        listener.tell(End(kind=kind, task=self, request=request, **more))


def has_own(task: Any, name: str) -> bool:
    """Whether a class of the application's gives ``task`` a method ``name`` of its own."""
    return any(name in cls.__dict__ and not cls.__module__.startswith(_OURS) for cls in type(task).__mro__[:-1])
