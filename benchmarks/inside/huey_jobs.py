"""Huey on SQLite, in WAL as it ships, or on Redis; results stored."""

import os
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path

from huey import RedisHuey, SqliteHuey

from benchmarks.inside import tally

__all__ = [
    "dispatch",
    "fill",
    "fill_naps",
    "huey",
    "nap",
    "noop",
    "send_stamp",
    "settled",
    "stamp",
    "versions",
]

FSYNC = "BENCH_HUEY_FSYNC"

_FILE = Path(os.environ[tally.DIRECTORY]) / "huey.db"
_URL = os.environ.get("BENCH_URL")

if _URL:
    huey = RedisHuey("bench", url=_URL)
else:
    huey = SqliteHuey("bench", filename=str(_FILE), fsync=False if os.environ.get(FSYNC) == "off" else None)


@huey.task()
def noop(number: int) -> int:
    """Do nothing; Huey stores no result for None."""
    tally.done()
    return number


@huey.task()
def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


@huey.task()
def nap(number: int) -> int:
    """Wait in a thread."""
    time.sleep(tally.NAP)
    tally.done()
    return number


def dispatch(number: int) -> object:
    return noop(number)


def fill(count: int, delay: float | None) -> None:
    for number in range(count):
        noop(number) if delay is None else noop.schedule(args=(number,), delay=delay)


def fill_naps(count: int, how: str) -> None:
    for number in range(count):
        nap(number)


def send_stamp(sent: float) -> object:
    return stamp(sent)


def settled(count: int) -> bool:
    return (huey.result_count() if _URL else _stored_rows()) >= count


def versions() -> dict[str, str]:
    return {"huey": version("huey")} | ({"redis": version("redis")} if _URL else {})


def _stored_rows() -> int:
    connection = sqlite3.connect(_FILE)
    try:
        stored: int = connection.execute("select count(*) from kv").fetchone()[0]
    finally:
        connection.close()
    return stored
