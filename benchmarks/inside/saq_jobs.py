"""SAQ on Redis, results stored."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import redis
from saq import Queue

from benchmarks.inside import tally

__all__ = ["dispatch", "fill", "fill_naps", "opened", "send_stamp", "settings", "settled", "versions"]

_URL = os.environ["BENCH_URL"]
_AT_ONCE = 20

_queue = Queue.from_url(_URL, name="bench")
_client = redis.Redis.from_url(_URL)


async def noop(context: dict[str, Any], *, number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


async def stamp(context: dict[str, Any], *, sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


async def nap(context: dict[str, Any], *, number: int) -> int:
    """Wait on the event loop."""
    await asyncio.sleep(tally.NAP)
    tally.done()
    return number


settings = {
    "queue": _queue,
    "functions": [noop, stamp, nap],
    "concurrency": int(os.environ.get("BENCH_CONCURRENCY", "10")),
}


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    yield
    await _queue.disconnect()


def _key(number: int) -> dict[str, str]:
    """A job's key, when its unique jobs are measured."""
    return {"key": f"noop-{number}"} if os.environ.get("BENCH_DECLARE") == "key" else {}


async def dispatch(number: int) -> object:
    return await _queue.enqueue("noop", number=number, **_key(number))


async def fill(count: int, delay: float | None) -> None:
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(count, first + _AT_ONCE))
        await asyncio.gather(*[_queue.enqueue("noop", number=number, **_key(number)) for number in numbers])


async def fill_naps(count: int, how: str) -> None:
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(count, first + _AT_ONCE))
        await asyncio.gather(*[_queue.enqueue("nap", number=number) for number in numbers])


async def send_stamp(sent: float) -> object:
    return await _queue.enqueue("stamp", sent=sent)


def settled(count: int) -> bool:
    """A job leaves this set as its result is stored."""
    return not _client.exists("saq:bench:incomplete", "saq:bench:active")


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("saq", "redis")}
