"""Tasks whose classes are written by hand, with every hook that Celery offers."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from celery import Task

from tests.acceptance.semantics.catalogue import declare, declare_class
from tests.acceptance.semantics.trail import note

__all__ = ("Calling", "Hooked")

_INSIDE_CALL: ContextVar[str] = ContextVar("inside_call", default="outside")


class Hooked(Task):  # type: ignore[type-arg]
    """Notes every hook under the job's id. It derives from Celery's own class, as code written for Celery does."""

    abstract = True
    greeting = "hello"

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        note(task_id, "before_start", args=args, kwargs=kwargs, request=self.request.id)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        note(task_id, "on_success", retval=retval, request=self.request.id)

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        note(task_id, "on_failure", error=type(exc).__name__, traceback="Traceback" in str(einfo))

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        note(task_id, "on_retry", error=type(exc).__name__)

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        note(task_id, "after_return", status=status)


class Calling(Task):  # type: ignore[type-arg]
    """Wraps the body, as those do who need an application context around it."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = _INSIDE_CALL.set("inside")
        note(self.request.id, "call")
        try:
            return self.run(*args, **kwargs)
        finally:
            note(self.request.id, "called")
            _INSIDE_CALL.reset(token)


class CallingSuper(Task):  # type: ignore[type-arg]
    """As :class:`Calling`, by way of ``super().__call__``."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        note(self.request.id, "call")
        result = super().__call__(*args, **kwargs)
        note(self.request.id, "called", result=result)
        return result


@declare(bind=True, base=Hooked)
def hooked_ok(self: Any, value: Any) -> Any:
    note(self.request.id, "body", greeting=self.greeting)
    return value


@declare(bind=True, base=Hooked)
def hooked_fail(self: Any) -> None:
    note(self.request.id, "body")
    raise ValueError("hooked")


@declare(bind=True, base=Hooked, max_retries=1, default_retry_delay=0)
def hooked_retry(self: Any) -> str:
    note(self.request.id, "body")
    if self.request.retries == 0:
        raise self.retry(exc=OSError("once"))
    return "second"


@declare(bind=True, base=Calling)
def called(self: Any) -> str:
    note(self.request.id, "body")
    return _INSIDE_CALL.get()


@declare(bind=True, base=CallingSuper)
def called_super(self: Any, value: Any) -> Any:
    note(self.request.id, "body", current=self.request.id)
    return value


@declare_class("sync")
class Classy(Task):  # type: ignore[type-arg]
    """A task in the old way, with state of its own."""

    def __init__(self) -> None:
        self.kept = "kept"

    def run(self, value: Any) -> list[Any]:
        return [value, self.kept]


@declare_class("async")
class AsyncClassy(Classy):
    """The same with a coroutine."""

    async def run(self, value: Any) -> list[Any]:  # type: ignore[override]
        await asyncio.sleep(0.001)
        return [value, self.kept]
