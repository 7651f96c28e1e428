"""Umbel on its embedded engine or on Redis, as it ships."""

import asyncio
import os
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.inside import tally
from benchmarks.inside.declarations import declared
from umbel import Umbel, __version__

__all__ = [
    "dispatch",
    "fill",
    "fill_naps",
    "jobs",
    "nap_async",
    "nap_threads",
    "noop",
    "recorded",
    "send_stamp",
    "settled",
    "stamp",
    "versions",
]

_FILE = Path(os.environ[tally.DIRECTORY]) / "umbel.db"

jobs = Umbel("bench", broker=os.environ.get("BENCH_URL") or f"sqlite:///{_FILE}")


_DECLARED = declared()


@jobs.task(name="bench.noop", **_DECLARED.options())
def noop(number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


@jobs.task(name="bench.stamp")
def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


@jobs.task
async def nap_async(number: int) -> int:
    """Wait on the event loop."""
    await asyncio.sleep(tally.NAP)
    tally.done()
    return number


@jobs.task
def nap_threads(number: int) -> int:
    """Wait in a thread."""
    time.sleep(tally.NAP)
    tally.done()
    return number


def dispatch(number: int) -> object:
    return noop.delay(number)


def fill(count: int, delay: float | None) -> None:
    if jobs.settings.history:
        # The recorder comes with the worker, and what is dispatched now is to be its work as well.
        jobs.engine.events.expect()
    if _DECLARED.fill is not None:
        _DECLARED.fill(noop, range(count))
        return
    options = {} if delay is None else {"countdown": delay}
    for _ in noop.enqueue_many(range(count), **options):
        pass


def fill_naps(count: int, how: str) -> None:
    for _ in {"async": nap_async, "threads": nap_threads}[how].enqueue_many(range(count)):
        pass


def send_stamp(sent: float) -> object:
    return stamp.delay(sent)


def settled(count: int) -> bool:
    """Results are stored in the same transaction as the acknowledgement, so an empty queue says both."""
    return not any(queue.ready or queue.leased for queue in jobs.engine.queues())


def recorded() -> bool:
    """Whether all that happened is in the history."""
    return jobs.engine.events.size() == 0


def versions() -> dict[str, str]:
    return {"umbel": __version__} | {name: version(name) for name in ("celery", "kombu")}
