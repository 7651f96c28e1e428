"""Jobs with hooks, each as ``sync.NAME`` and as ``async.NAME``; a task's own hooks are of the other kind than its body.

The hooks write a line for each thing that they hear: its kind, whose they are, the job's id, and what became of it.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from celery.exceptions import Reject

from tests.integration.worker.jobs import GATES, tell
from umbel import Hooks, JobContext, Umbel

__all__ = ("app",)

app = Umbel("hooked")

_KINDS = ("before", "success", "retry", "failure", "cancel")


def _hear(kind: str, who: str) -> Callable[[JobContext], None]:
    def hook(job: JobContext) -> None:
        said = type(job.error).__name__ if job.error is not None else job.result
        tell(kind, who, job.id or "-", said or "-", job.lasted is not None)
        if kind == "success" and who == "task" and job.args[:1] == ("deadly",):
            _die_once(str(job.id))

    return hook


def _ahear(kind: str, who: str) -> Callable[[JobContext], Any]:
    hook = _hear(kind, who)

    async def ahook(job: JobContext) -> None:
        await asyncio.sleep(0.001)
        hook(job)
        await asyncio.sleep(0.001)

    return ahook


def _die_once(name: str) -> None:
    try:
        (GATES / name).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _around(job: JobContext, call: Callable[[], Any]) -> Any:
    tell("enter", "task", job.id)
    try:
        return call()
    finally:
        tell("leave", "task", job.id)


async def _aaround(job: JobContext, call: Callable[[], Any]) -> Any:
    await asyncio.sleep(0.001)
    tell("enter", "task", job.id)
    try:
        return await call()
    finally:
        tell("leave", "task", job.id)


app.middleware(Hooks(**{kind: _hear(kind, "app") for kind in _KINDS}))
app.middleware(Hooks(**{kind: _ahear(kind, "aapp") for kind in _KINDS}))

HOOKS = Hooks(around=_around, **{kind: _hear(kind, "task") for kind in _KINDS})
AHOOKS = Hooks(around=_aaround, **{kind: _ahear(kind, "task") for kind in _KINDS})


def declare(coroutine: Any = None, **options: Any) -> Callable[[Callable[..., Any]], None]:
    """Declare a body twice; its coroutine awaits before and after, unless it has one of its own."""

    def wrap(body: Callable[..., Any]) -> None:
        @functools.wraps(body)
        async def twin(*args: Any) -> Any:
            await asyncio.sleep(0.001)
            result = body(*args)
            await asyncio.sleep(0.001)
            return result

        app.task(name=f"sync.{body.__name__}", bind=True, hooks=AHOOKS, **options)(body)
        app.task(name=f"async.{body.__name__}", bind=True, hooks=HOOKS, **options)(coroutine or twin)

    return wrap


@declare()
def echo(self: Any, word: str) -> str:
    return word


@declare()
def fail(self: Any) -> None:
    raise ValueError("wrong")


@declare(max_retries=1, default_retry_delay=0)
def again(self: Any) -> str:
    if not self.request.retries:
        raise self.retry(exc=OSError("once"))
    return "twice"


@declare()
def refuse(self: Any) -> None:
    raise Reject("no", requeue=False)


@declare()
def crash(self: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _ahold(self: Any, name: str) -> str:
    tell("hold", name)
    while not (GATES / name).exists():
        await asyncio.sleep(0.01)
    return name


@declare(_ahold)
def hold(self: Any, name: str) -> str:
    tell("hold", name)
    while not (GATES / name).exists():
        time.sleep(0.01)
    return name


@declare(_ahold, time_limit=1.0, soft_time_limit=None)
def overrun(self: Any, name: str) -> str:
    tell("hold", name)
    while not (GATES / name).exists():
        time.sleep(0.01)
    return name


async def _astubborn(self: Any, name: str) -> str:
    try:
        return await _ahold(self, name)
    except asyncio.CancelledError:
        tell("swallowed", name)
        return "swallowed"


@declare(_astubborn)
def stubborn(self: Any, name: str) -> str:
    """Hold, and swallow what ends that."""
    tell("hold", name)
    try:
        while not (GATES / name).exists():
            time.sleep(0.01)
    except BaseException:
        tell("swallowed", name)
    return "swallowed"


async def _wait_for_ever(job: JobContext) -> None:
    tell("waits", job.id)
    try:
        await asyncio.sleep(3600)
    finally:
        tell("waited", job.id)


@app.task(name="sync.behind", hooks=Hooks(before=_wait_for_ever))
def behind() -> None: ...


@app.task(name="async.behind", hooks=Hooks(before=_wait_for_ever), soft_time_limit=0.5)
async def abehind() -> None: ...
