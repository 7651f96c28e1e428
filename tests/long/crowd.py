"""Jobs for tomorrow (C16): however many wait, a worker's memory does not know of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import redis

from tests.chaos.redis_site import RedisSite
from tests.integration.worker.plant import Plant, Worker, planted, until

__all__ = ("GROWTH_MIB", "crowd")

_TOMORROW: Final = 86_400.0
_PROBES: Final = 300
#: What a process may grow by over its first jobs, whoever waits.
GROWTH_MIB: Final = 6.0


def crowd(folder: Path, *, jobs: int) -> Iterator[tuple[str, Any]]:
    """Let them gather while a worker runs, and then another one start; give figures as they come."""
    site = RedisSite(folder, append=False)
    try:
        place = folder / "umbel"
        place.mkdir()
        with planted(place, f"redis://127.0.0.1:{site.port}/0") as plant:
            yield from _gather(plant, jobs)
        with redis.Redis(port=site.port) as client:
            yield "redis_mib", _mib(client.info("memory")["used_memory"])
    finally:
        site.close()


def _gather(plant: Plant, jobs: int) -> Iterator[tuple[str, Any]]:
    worker = plant.start(concurrency=4)
    yield "ms_a_job_before", f"{_probe(plant, 'before'):.2f}"
    before = _memory(worker)
    began = time.monotonic()
    plant.send_many("say", (f"later-{number}" for number in range(jobs)), countdown=_TOMORROW)
    yield "sent_a_second", round(jobs / (time.monotonic() - began))
    waiting = sum(queue.delayed for queue in plant.engine.queues())
    yield "waiting", waiting
    yield "ms_a_job_after", f"{_probe(plant, 'after'):.2f}"
    after = _memory(worker)
    yield "worker_mib", f"{before:.1f} -> {after:.1f}"
    fresh = plant.start(concurrency=4)
    worker.stop()
    _probe(plant, "fresh")
    yield "fresh_worker_mib", f"{_memory(fresh):.1f}"
    begun = len(plant.lines("say"))
    if waiting != jobs or begun != 3 * _PROBES:
        yield "fault", f"{waiting} of {jobs} wait, and {begun} jobs have run"
    for name, now in (("the worker", after), ("a fresh one", _memory(fresh))):
        if now > before + GROWTH_MIB:
            yield "fault", f"{name} has {now:.1f} MiB, and {before:.1f} before"


def _probe(plant: Plant, name: str) -> float:
    """Run some jobs one after the other; return the median of their milliseconds."""
    took = []
    for number in range(_PROBES):
        began = time.monotonic()
        plant.app.AsyncResult(plant.send("say", f"{name}-{number}")).get(timeout=60)
        took.append(1000 * (time.monotonic() - began))
    return statistics.median(took)


def _memory(worker: Worker) -> float:
    """Return the resident memory of the worker process, once it does nothing any more."""
    (child,) = worker.children("worker")
    seen: list[int] = []

    def steady() -> bool:
        seen.append(psutil.Process(child.pid).memory_info().rss)
        return len(seen) > 5 and max(seen[-5:]) - min(seen[-5:]) < 1 << 17

    until(steady, "memory stands still")
    return _mib(seen[-1])


def _mib(size: int) -> float:
    return round(size / (1 << 20), 1)
