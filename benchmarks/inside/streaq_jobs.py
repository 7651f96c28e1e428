"""streaQ on Redis, results stored."""

import asyncio
import os
from importlib.metadata import version
from typing import Any

import coredis
from streaq import Worker

from benchmarks.inside import tally

__all__ = ["dispatch", "fill", "fill_naps", "nap", "noop", "opened", "send_stamp", "settled", "stamp", "versions"]

_BATCH = 500

worker = Worker(
    redis_url=os.environ["BENCH_URL"],
    queue_name="bench",
    concurrency=int(os.environ.get("BENCH_CONCURRENCY", "16")),
)


@worker.task(silent=True)
async def noop(number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


@worker.task(silent=True)
async def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


@worker.task(silent=True)
async def nap(number: int) -> int:
    """Wait on the event loop."""
    await asyncio.sleep(tally.NAP)
    tally.done()
    return number


def opened() -> Any:
    return worker


async def dispatch(number: int) -> object:
    return await noop.enqueue(number)


async def fill(count: int, delay: float | None) -> None:
    await _fill(noop, count)


async def fill_naps(count: int, how: str) -> None:
    await _fill(nap, count)


async def send_stamp(sent: float) -> object:
    return await stamp.enqueue(sent)


def settled(count: int) -> bool:
    """A message leaves the stream in the transaction that stores its result."""
    return asyncio.run(_waiting()) == 0


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("streaq", "coredis")}


async def _fill(task: Any, count: int) -> None:
    for first in range(0, count, _BATCH):
        await worker.enqueue_many([task.enqueue(number) for number in range(first, min(count, first + _BATCH))])


async def _waiting() -> int:
    client = coredis.Redis.from_url(os.environ["BENCH_URL"], decode_responses=True)
    async with client:
        return int(await client.xlen("streaq:bench:queues:normal"))
