"""The jobs of these tests, each as ``sync.NAME`` and as ``async.NAME``. They tell the trail what they do."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable
from typing import Any

import httpx
from celery import signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

from tests.acceptance.retries.faults import Busy
from umbel import Cancel, Fail, Retry, RetryLater, Snooze, Umbel
from umbel.engine.job import current_job

__all__ = ("app",)

app = Umbel("retries")


AT_ONCE = Retry(2, on=Busy, backoff=0)
BROAD = Retry(3, backoff=0)


def tell(*words: object) -> None:
    """Append one line: the words, this process, the time."""
    line = " ".join(map(str, (*words, os.getpid(), f"{time.time():.6f}"))) + "\n"
    fd = os.open(os.environ["PLANT_TRAIL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def declare(coroutine: Any = None, **options: Any) -> Callable[[Callable[..., Any]], None]:
    """Declare a body twice; its coroutine awaits before and after, unless it has one of its own."""

    def wrap(body: Callable[..., Any]) -> None:
        @functools.wraps(body)
        async def twin(*args: Any) -> Any:
            await asyncio.sleep(0.001)
            result = body(*args)
            await asyncio.sleep(0.001)
            return result

        app.task(name=f"sync.{body.__name__}", bind=True, **options)(body)
        app.task(name=f"async.{body.__name__}", bind=True, **options)(coroutine or twin)

    return wrap


@declare(retry=Retry(3, on="transient", backoff="1s"))
def polite(self: Any, key: str, url: str) -> None:
    tell(key, "try", self.request.retries)
    httpx.get(url, timeout=30, trust_env=False).raise_for_status()


@declare()
def way(self: Any) -> str:
    """Which way this job has come."""
    job = current_job.get()
    return "prefork" if job is None else type(job.request).__name__


@declare(retry=AT_ONCE)
def declared_way(self: Any) -> str:
    job = current_job.get()
    return "prefork" if job is None else type(job.request).__name__


@declare(retry=AT_ONCE)
def busy(self: Any, key: str, fails: int) -> str:
    tell(key, "try", self.request.retries)
    if self.request.retries < fails:
        raise Busy(f"try {self.request.retries}")
    return "done"


@declare(retry=AT_ONCE)
def mistaken(self: Any, key: str) -> None:
    tell(key, "try", self.request.retries)
    raise KeyError("mistake")


@declare(retry=BROAD)
def celerys_own(self: Any, key: str, word: str) -> str:
    tell(key, "try", self.request.retries)
    if word == "ignore":
        raise Ignore
    if word == "reject":
        raise Reject("no", requeue=False)
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return "done"


@declare(retry=BROAD)
def quietly(self: Any, key: str) -> str:
    """Order another try by hand, and fail all the same."""
    tell(key, "try", self.request.retries)
    if self.request.retries < 1:
        self.retry(countdown=0, throw=False)
        raise Busy
    return "done"


async def _long(self: Any, key: str, how: str) -> None:
    tell(key, "try", self.request.retries)
    try:
        await asyncio.sleep(50)
    except SoftTimeLimitExceeded as limit:
        if how == "wrapped":
            raise Busy("wrapped") from limit
        if how == "plain":
            raise
    raise Busy("forgotten")


@declare(_long, retry=BROAD, soft_time_limit=1, time_limit=60)
def too_long(self: Any, key: str, how: str) -> None:
    tell(key, "try", self.request.retries)
    try:
        end = time.monotonic() + 50
        while time.monotonic() < end:
            time.sleep(0.01)
    except SoftTimeLimitExceeded as limit:
        if how == "wrapped":
            raise Busy("wrapped") from limit
        if how == "plain":
            raise
    raise Busy("forgotten")


async def _held(self: Any, key: str) -> None:
    tell(key, "held")
    try:
        await asyncio.sleep(50)
    except BaseException as error:
        tell(key, "stopped")
        raise Busy("stopped") from error


@declare(_held, retry=BROAD)
def held(self: Any, key: str) -> None:
    """Run until it is cancelled, and make an error of that."""
    tell(key, "held")
    try:
        end = time.monotonic() + 50
        while time.monotonic() < end:
            time.sleep(0.01)
    except BaseException as error:
        tell(key, "stopped")
        raise Busy("stopped") from error


def outcome(self: Any, key: str, word: str, times: int, how: str) -> Any:
    """End as ``word`` says, by ``how``: return or raise."""
    tell(key, "try", self.request.retries)
    if word == "later":
        said: Any = RetryLater(0) if self.request.retries < times else "done"
    elif word == "snooze":
        put_off = (self.request.headers or {}).get("umbel_put_off", 0)
        said = Snooze(0, "not yet") if put_off < times else "done"
    elif word == "nap":
        said = Snooze("1h")
    elif word == "cancel":
        said = Cancel("withdrawn")
    else:
        said = Fail("no such order")
    if how == "raise" and isinstance(said, Exception):
        raise said
    return said


declare()(outcome)


@declare(retry=BROAD)
def declared_outcome(self: Any, *args: Any) -> Any:
    return outcome(self, *args)


@declare(autoretry_for=(Exception,), default_retry_delay=0, max_retries=3)
def autoretried_outcome(self: Any, *args: Any) -> Any:
    return outcome(self, *args)


@declare(max_retries=1)
def used_up(self: Any, key: str) -> None:
    tell(key, "try", self.request.retries)
    try:
        raise Busy("the cause")
    except Busy as error:
        raise RetryLater(0) from error


@declare(retry=Retry(None, on=Busy, backoff=[0, 0, "1h"], jitter=False, until="30m"))
def until(self: Any, key: str) -> None:
    tell(key, "try", self.request.retries)
    raise Busy(f"try {self.request.retries}")


@app.task(name="told")
def told(value: Any, key: str, word: str) -> None:
    """A link."""
    tell(key, word, value)


@app.task(name="errback")
def errback(failed: Any, *_: Any) -> None:
    tell(failed.id if hasattr(failed, "id") else failed, "errback")


@signals.task_revoked.connect(weak=False)
def _revoked(request: Any, **_: Any) -> None:
    tell(request.id, "task_revoked")


if os.environ.get("RETRIES_WATCHED"):

    @signals.task_retry.connect(weak=False)
    def _retry(request: Any, **_: Any) -> None:
        tell(request.id, "task_retry")

    @signals.task_failure.connect(weak=False)
    def _failure(task_id: str, **_: Any) -> None:
        tell(task_id, "task_failure")
