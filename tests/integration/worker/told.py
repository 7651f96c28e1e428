"""Jobs whose ends are told by webhooks, each as ``sync.NAME`` and as ``async.NAME``."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import Callable
from typing import Any

from tests.integration.worker.jobs import GATES, tell
from umbel import Hooks, JobContext, Umbel, Webhook

__all__ = ("app",)

app = Umbel("told")
URL = os.environ.get("TOLD_URL", "http://127.0.0.1:9")


def declare(**options: Any) -> Callable[[Callable[..., Any]], None]:
    """Declare a body twice."""

    def wrap(body: Callable[..., Any]) -> None:
        @functools.wraps(body)
        async def twin(*args: Any) -> Any:
            await asyncio.sleep(0.001)
            return body(*args)

        app.task(name=f"sync.{body.__name__}", bind=True, **options)(body)
        app.task(name=f"async.{body.__name__}", bind=True, **options)(twin)

    return wrap


@declare(webhook=Webhook(f"{URL}/declared"))
def add(self: Any, a: int, b: int) -> int:
    return a + b


@declare()
def say(self: Any, word: str) -> str:
    return word


@declare(max_retries=1, default_retry_delay=0)
def fail(self: Any, word: str) -> None:
    if not self.request.retries:
        raise self.retry(exc=OSError("once"))
    raise ValueError(word)


@declare(webhook=Webhook(f"{URL}/quiet", on="failure", content=False))
def keep(self: Any, secret: str, wrong: bool) -> str:
    if wrong:
        raise ValueError(secret)
    return secret


@declare(webhook=f"{URL}/large")
def large(self: Any) -> str:
    return "x" * 300_000


@declare(webhook=f"{URL}/crashed")
def crash(self: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(job: JobContext) -> None:
    tell("success", job.id)
    gate = GATES / str(job.id)
    try:
        gate.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@declare(webhook=f"{URL}/deadly", hooks=Hooks(success=_die_once))
def deadly(self: Any) -> str:
    return "alive"
