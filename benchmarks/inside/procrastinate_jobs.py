"""Procrastinate on PostgreSQL; it stores no results, and keeps the row of each job."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import psycopg
from procrastinate import App, PsycopgConnector

from benchmarks.inside import tally

__all__ = [
    "app",
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

_BATCH = 1000
_URL = os.environ["BENCH_URL"]

app = App(connector=PsycopgConnector(conninfo=_URL))


@app.task
async def noop(number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


@app.task
async def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


@app.task
async def nap(number: int) -> int:
    """Wait on the event loop."""
    await asyncio.sleep(tally.NAP)
    tally.done()
    return number


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    """Also makes the tables when there are none yet."""
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        yield


async def dispatch(number: int) -> object:
    return await noop.defer_async(number=number)


async def fill(count: int, delay: float | None) -> None:
    for first in range(0, count, _BATCH):
        numbers = range(first, min(count, first + _BATCH))
        await noop.batch_defer_async(*[{"number": number} for number in numbers])


async def fill_naps(count: int, how: str) -> None:
    await nap.batch_defer_async(*[{"number": number} for number in range(count)])


async def send_stamp(sent: float) -> object:
    return await stamp.defer_async(sent=sent)


def settled(count: int) -> bool:
    with psycopg.connect(_URL) as connection:
        row = connection.execute(
            "select not exists (select 1 from procrastinate_jobs where status in ('todo', 'doing'))"
        ).fetchone()
    return bool(row and row[0])


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("procrastinate", "psycopg")} | {"postgresql": _server()}


def _server() -> str:
    with psycopg.connect(_URL) as connection:
        return str(connection.info.parameter_status("server_version"))
