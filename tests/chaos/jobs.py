"""The application of a campaign: every job marks its beginning, works for some milliseconds, and marks its effect."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.marks import Marker
from umbel import Umbel

__all__ = ("app",)

#: How long a body takes, in seconds: none to this.
LONGEST = float(os.environ.get("CHAOS_LONGEST", "0.004"))

app = Umbel("chaos")
#: Not shared: each campaign of a process has an application of its own.
task = partial(app.task, bind=True, shared=False)
_folder = os.environ.get("CHAOS_MARKS")
marker = Marker(Path(_folder) if _folder else None)


@contextmanager
def effect(job: Any, key: str) -> Iterator[float]:
    """Mark the beginning, give the seconds to work, and mark the effect."""
    task_id, attempt = job.request.id, job.request.retries
    marker.mark("B", task_id, attempt, key)
    yield random.uniform(0.0, LONGEST)
    marker.mark("E", task_id, attempt, key)


@task()
def plain(self: Any, key: str) -> str:
    with effect(self, key) as seconds:
        time.sleep(seconds)
    return key


@task()
async def coroutine(self: Any, key: str) -> str:
    with effect(self, key) as seconds:
        await asyncio.sleep(seconds)
    return key


@task(max_retries=2)
def retrying(self: Any, key: str) -> str:
    attempt = self.request.retries
    with effect(self, f"{key}/{attempt}") as seconds:
        time.sleep(seconds)
    if attempt < 1:
        raise self.retry(countdown=0.2)
    return key


@task(max_retries=2)
async def aretrying(self: Any, key: str) -> str:
    attempt = self.request.retries
    with effect(self, f"{key}/{attempt}") as seconds:
        await asyncio.sleep(seconds)
    if attempt < 1:
        raise self.retry(countdown=0.2)
    return key


@task()
def member(self: Any, key: str) -> int:
    with effect(self, key) as seconds:
        time.sleep(seconds)
    return 1


@task()
def callback(self: Any, results: list[int]) -> int:
    with effect(self, f"callback={sum(results)}") as seconds:
        time.sleep(seconds)
    return sum(results)


@task()
def gathered(self: Any, results: list[int], key: str) -> int:
    with effect(self, f"{key}={sum(results)}") as seconds:
        time.sleep(seconds)
    return sum(results)


class Expected(Exception):
    """What a job fails with that is meant to."""


@task(throws=(Expected,))
def failing(self: Any, key: str) -> None:
    with effect(self, key) as seconds:
        time.sleep(seconds)
    raise Expected(key)


@task()
def errback(self: Any, failed: str) -> None:
    with effect(self, f"x{failed}") as seconds:
        time.sleep(seconds)


@task()
def linked(self: Any, result: object, key: str) -> None:
    with effect(self, key) as seconds:
        time.sleep(seconds)
