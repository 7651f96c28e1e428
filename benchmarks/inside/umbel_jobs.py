"""Umbel on its embedded engine or on Redis, as it ships."""

import os
from importlib.metadata import version
from pathlib import Path

from benchmarks.inside import tally
from umbel import Umbel, __version__

__all__ = ["dispatch", "fill", "jobs", "noop", "send_stamp", "settled", "stamp", "versions"]

_FILE = Path(os.environ[tally.DIRECTORY]) / "umbel.db"

jobs = Umbel("bench", broker=os.environ.get("BENCH_REDIS") or f"sqlite:///{_FILE}")


@jobs.task
def noop(number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


@jobs.task
def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


def dispatch(number: int) -> object:
    return noop.delay(number)


def fill(count: int, delay: float | None) -> None:
    options = {} if delay is None else {"countdown": delay}
    for _ in noop.enqueue_many(range(count), **options):
        pass


def send_stamp(sent: float) -> object:
    return stamp.delay(sent)


def settled(count: int) -> bool:
    """Results are stored in the same transaction as the acknowledgement, so an empty queue says both."""
    return not any(queue.ready or queue.leased for queue in jobs.engine.queues())


def versions() -> dict[str, str]:
    return {"umbel": __version__} | {name: version(name) for name in ("celery", "kombu")}
