"""One drain: a worker meets a full queue, and an observer sees the last result stored."""

import os
import time
from typing import Any

from benchmarks.meter import metered
from benchmarks.site import Broken, Site, Watch, Worker
from benchmarks.subjects import Variant

__all__ = ["drain"]


def drain(here: Site, variant: Variant, jobs: int, more_waits: bool = False, then: str = "") -> dict[str, Any]:
    """Drain ``jobs`` in ``here``; the rate runs from when every process works to the last result stored.

    With ``more_waits`` these are not all: it ends with their bodies, and the worker gives back what it holds.
    ``then`` is a verb of the client that waits for something more while the worker runs; timed from the first job.
    """
    here.forget()
    # What filling has left in memory is written to disk now, and not in the middle of what is timed.
    os.sync()
    with (
        here.watching(jobs, variant, bodies_only=more_waits) as watch,
        metered(here.subject) as meter,
        here.worker(variant, graceful=more_waits) as worker,
    ):
        seen = _watched(watch, worker)
        if then:
            here.client(then)
            seen["then"] = time.monotonic()
    at, already = seen["active"]
    timed = seen["jobs"] - already
    if timed <= 0:
        raise Broken(f"{here.subject.name}: all {jobs} jobs were done before they could be timed; use more jobs")
    end = seen["last"] if more_waits else seen["settled"]
    return {
        "jobs": seen["jobs"],
        "rate": timed / (end - at),
        "total_seconds": seen["settled"] - worker.begun,
        "to_first_seconds": seen["first"] - worker.begun,
        "from_first_seconds": seen["settled"] - seen["first"],
        "bodies_seconds": seen["last"] - seen["first"],
        "settle_seconds": seen["settled"] - seen["last"],
        "processes": seen["processes"],
        "boot_cpu_seconds": seen["boot_cpu_seconds"],
        "cpu_us_per_job": seen["cpu_seconds"] / timed * 1e6,
        "rss_mb": seen["rss_mb"],
        "then_seconds": seen.get("then", end) - seen["first"],
    } | meter.per_job(seen["jobs"])


def _watched(watch: Watch, worker: Worker) -> dict[str, Any]:
    booted = [0.0]
    seen = watch.outcome(lambda: booted.append(worker.cpu_seconds()))
    memory = [process.memory_info().rss / 1e6 for process in worker.family()]
    cpu = worker.cpu_seconds() - booted[-1]
    return seen | {"boot_cpu_seconds": booted[-1], "cpu_seconds": cpu, "rss_mb": memory}
