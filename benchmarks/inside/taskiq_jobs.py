"""Taskiq on Redis, lists or streams, results stored."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import redis
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.inside import tally

__all__ = [
    "broker",
    "dispatch",
    "fill",
    "fill_naps",
    "nap",
    "noop",
    "opened",
    "send_stamp",
    "settled",
    "stamp",
    "versions",
]

_URL = os.environ["BENCH_URL"]
_AT_ONCE = 50
_results: RedisAsyncResultBackend = RedisAsyncResultBackend(_URL, result_ex_time=3600)

broker = (RedisStreamBroker if os.environ["BENCH_TASKIQ"] == "streams" else ListQueueBroker)(_URL)
broker = broker.with_result_backend(_results)

_client = redis.Redis.from_url(_URL)


@broker.task
async def noop(number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


@broker.task
async def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


@broker.task
async def nap(number: int) -> int:
    """Wait on the event loop."""
    await asyncio.sleep(tally.NAP)
    tally.done()
    return number


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


async def dispatch(number: int) -> object:
    return await noop.kiq(number)


async def fill(count: int, delay: float | None) -> None:
    for first in range(0, count, _AT_ONCE):
        await asyncio.gather(*[noop.kiq(number) for number in range(first, min(count, first + _AT_ONCE))])


async def fill_naps(count: int, how: str) -> None:
    for first in range(0, count, _AT_ONCE):
        await asyncio.gather(*[nap.kiq(number) for number in range(first, min(count, first + _AT_ONCE))])


async def send_stamp(sent: float) -> object:
    return await stamp.kiq(sent)


def settled(count: int) -> bool:
    """Nearly every key is a result."""
    return int(_client.dbsize()) >= count and not _client.llen("taskiq") if _lists() else _acknowledged(count)


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("taskiq", "taskiq-redis", "redis")}


def _lists() -> bool:
    return isinstance(broker, ListQueueBroker)


def _acknowledged(count: int) -> bool:
    return int(_client.dbsize()) >= count and _client.xpending("taskiq", "taskiq")["pending"] == 0
