"""Tasks that run too long, or until somebody stops them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from tests.acceptance.semantics.catalogue import coroutine_of, declare
from tests.acceptance.semantics.trail import note

__all__ = ()

_STEP = 0.02


@declare(bind=True)
def hold(self: Any, key: str, seconds: float = 60.0) -> str:
    """Run in Python code for ``seconds``, and note what ended it."""
    note(key, "started", id=self.request.id)
    try:
        _spend(seconds)
    except BaseException as error:
        note(key, "interrupted", error=type(error).__name__)
        raise
    finally:
        note(key, "finally")
    note(key, "ended")
    return "ended"


@coroutine_of("hold")
async def hold_async(self: Any, key: str, seconds: float = 60.0) -> str:
    note(key, "started", id=self.request.id)
    try:
        await asyncio.sleep(seconds)
    except BaseException as error:
        note(key, "interrupted", error=type(error).__name__)
        raise
    finally:
        note(key, "finally")
    note(key, "ended")
    return "ended"


@declare(bind=True, soft_time_limit=1)
def soft_caught(self: Any, key: str) -> str:
    """Catch the soft limit and end well."""
    try:
        _spend(60)
    except SoftTimeLimitExceeded:
        note(key, "caught")
        return "tidied up"
    return "never stopped"


@coroutine_of("soft_caught")
async def soft_caught_async(self: Any, key: str) -> str:
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        note(key, "caught")
        await asyncio.sleep(0)
        return "tidied up"
    return "never stopped"


@declare(bind=True, soft_time_limit=1, time_limit=30)
def soft_uncaught(self: Any, key: str) -> None:
    note(key, "started")
    _spend(60)


@coroutine_of("soft_uncaught")
async def soft_uncaught_async(self: Any, key: str) -> None:
    note(key, "started")
    await asyncio.sleep(60)


@declare(bind=True, time_limit=1, soft_time_limit=None)
def hard(self: Any, key: str) -> None:
    note(key, "started", id=self.request.id)
    _spend(60)


@coroutine_of("hard")
async def hard_async(self: Any, key: str) -> None:
    note(key, "started", id=self.request.id)
    await asyncio.sleep(60)


@declare(bind=True, soft_time_limit=1, autoretry_for=(Exception,), retry_kwargs={"max_retries": 2, "countdown": 0})
def soft_and_broad_retry(self: Any, key: str) -> None:
    """Declare a retry so broad that it would take the limit for an accident."""
    note(key, "try")
    _spend(60)


@coroutine_of("soft_and_broad_retry")
async def soft_and_broad_retry_async(self: Any, key: str) -> None:
    note(key, "try")
    await asyncio.sleep(60)


@declare(bind=True)
def limited_later(self: Any, key: str) -> None:
    """Get a soft limit from ``control.time_limit`` only."""
    note(key, "started")
    _spend(60)


@coroutine_of("limited_later")
async def limited_later_async(self: Any, key: str) -> None:
    note(key, "started")
    await asyncio.sleep(60)


@declare(bind=True)
def throttled(self: Any, key: str) -> None:
    """Get a rate limit from ``control.rate_limit`` only."""
    note(key, "ran")


@declare(bind=True, soft_time_limit=1, max_retries=1, default_retry_delay=0)
def soft_then_retry(self: Any, key: str) -> str:
    """Retry because of the soft limit."""
    note(key, "try", retries=self.request.retries)
    if self.request.retries:
        return "second try"
    try:
        _spend(60)
    except SoftTimeLimitExceeded as error:
        raise self.retry(exc=error) from error
    return "never stopped"


@coroutine_of("soft_then_retry")
async def soft_then_retry_async(self: Any, key: str) -> str:
    note(key, "try", retries=self.request.retries)
    if self.request.retries:
        return "second try"
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded as error:
        raise self.retry(exc=error) from error
    return "never stopped"


def _spend(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(_STEP)
