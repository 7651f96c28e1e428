"""Huey on SQLite, in WAL as it ships, results stored."""

import os
import sqlite3
from importlib.metadata import version
from pathlib import Path

from huey import SqliteHuey  # type: ignore[import-untyped,import-not-found,unused-ignore]

from benchmarks.inside import tally

__all__ = ["dispatch", "fill", "huey", "noop", "send_stamp", "settled", "stamp", "versions"]

FSYNC = "BENCH_HUEY_FSYNC"

_FILE = Path(os.environ[tally.DIRECTORY]) / "huey.db"

huey = SqliteHuey("bench", filename=str(_FILE), fsync=False if os.environ.get(FSYNC) == "off" else None)


@huey.task()  # type: ignore[untyped-decorator,unused-ignore]
def noop(number: int) -> int:
    """Do nothing; Huey stores no result for None."""
    tally.done()
    return number


@huey.task()  # type: ignore[untyped-decorator,unused-ignore]
def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


def dispatch(number: int) -> object:
    return noop(number)


def fill(count: int, delay: float | None) -> None:
    for number in range(count):
        noop(number) if delay is None else noop.schedule(args=(number,), delay=delay)


def send_stamp(sent: float) -> object:
    return stamp(sent)


def settled(count: int) -> bool:
    connection = sqlite3.connect(_FILE)
    try:
        stored: int = connection.execute("select count(*) from kv").fetchone()[0]
    finally:
        connection.close()
    return stored >= count


def versions() -> dict[str, str]:
    return {"huey": version("huey")}
