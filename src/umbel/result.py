"""Waiting for results, with a deadline and without deadlocks (C25)."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from celery import result as celery_result
from celery._state import task_join_will_block

from umbel.errors import WaitRefused

__all__ = ("AsyncResult", "GroupResult", "ResultSet")

_UNSET: Final[Any] = object()
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1


def _timeout(app: Any, timeout: Any) -> float | None:
    if timeout is _UNSET:
        return float(app.settings.result_timeout.total_seconds())
    return None if timeout is None else float(timeout)


def _refuse_blocking(id: str, disable_sync_subtasks: bool) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise WaitRefused(
            id,
            f"get() of {id} would block the event loop: use 'await result.aget()', or asyncio.to_thread(result.get).",
        )
    if disable_sync_subtasks and task_join_will_block():
        raise WaitRefused(
            id,
            f"get() of {id} inside a job would hold a slot until another job ends, and may wait for ever: "
            "chain the jobs, use a chord, or return and let a callback go on (link=).",
        )


class AsyncResult(celery_result.AsyncResult):
    """Celery's result; ``get`` waits at most ``result_timeout`` unless told otherwise, and ``aget`` is awaitable."""

    #: Whether the dispatch that returned it found another job that says the same, which this is.
    duplicate: bool = False

    def get(self, timeout: Any = _UNSET, *args: Any, disable_sync_subtasks: bool = True, **kwargs: Any) -> Any:
        """Wait for the end and return the result. Raises what the job raised, or Celery's ``TimeoutError``."""
        if self._cache is None and not self.app.conf.task_always_eager:
            _refuse_blocking(str(self.id), disable_sync_subtasks)
        return super().get(_timeout(self.app, timeout), *args, disable_sync_subtasks=disable_sync_subtasks, **kwargs)

    wait = get

    async def aget(self, timeout: Any = _UNSET, *, propagate: bool = True) -> Any:
        """Wait for the end without blocking the event loop, and return the result."""
        limit = _timeout(self.app, timeout)
        deadline = None if limit is None else time.monotonic() + limit
        pause = _FIRST_PAUSE
        while not await asyncio.to_thread(self.ready):
            if deadline is not None and time.monotonic() >= deadline:
                raise celery_result.TimeoutError(f"Job {self.id} had not ended after {limit} s.")
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)
        if propagate:
            self.maybe_throw()
        return self.result


class ResultSet(celery_result.ResultSet):
    """Celery's result set, with the same deadline."""

    def get(self, timeout: Any = _UNSET, *args: Any, disable_sync_subtasks: bool = True, **kwargs: Any) -> Any:
        """Wait for all and return their results in order."""
        if not self.app.conf.task_always_eager:
            _refuse_blocking("the group", disable_sync_subtasks)
        return super().get(_timeout(self.app, timeout), *args, disable_sync_subtasks=disable_sync_subtasks, **kwargs)


class GroupResult(celery_result.GroupResult):
    """Celery's group result, with the same deadline."""

    def get(self, timeout: Any = _UNSET, *args: Any, disable_sync_subtasks: bool = True, **kwargs: Any) -> Any:
        """Wait for all and return their results in order."""
        if not self.app.conf.task_always_eager:
            _refuse_blocking(str(self.id), disable_sync_subtasks)
        return super().get(_timeout(self.app, timeout), *args, disable_sync_subtasks=disable_sync_subtasks, **kwargs)
