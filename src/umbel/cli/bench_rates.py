"""The measurements of ``umbel bench``, on the store that the environment names."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from umbel import __version__
from umbel.cli import lifeline
from umbel.cli.bench_jobs import jobs, stamp
from umbel.cli.group import EX_UNAVAILABLE, Failure

__all__ = ("Rates", "measure")

_SECONDS: Final = 60.0
#: Slower than this a machine cannot be meant to be.
_SLOWEST: Final = 50.0
_STOP_SECONDS: Final = 30.0
_POLL: Final = 0.005
_WARM: Final = 100
_LATENCIES: Final = 100
_PAUSE: Final = (0.02, 0.04)
_LOG: Final = "worker.log"


@dataclass(frozen=True, slots=True)
class Rates:
    """What was measured: jobs a second, and milliseconds from ``delay`` to the job's first line with an idle worker."""

    umbel: str
    jobs: int
    processes: int
    dispatch_per_second: float
    enqueue_many_per_second: float
    drain_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float


def measure(count: int, processes: int) -> Rates:
    """Dispatch, enqueue, drain and wait. Raises :class:`Failure` when the worker dies or a part takes too long."""
    dispatch = _dispatch(max(1, count // 5))
    jobs.engine.purge(jobs.conf.task_default_queue)
    first, enqueued = _enqueue_many(count)
    with _worker(processes) as worker:
        drained = _drain(worker, first, count)
        late = _latencies(worker)
    return Rates(
        umbel=__version__,
        jobs=count,
        processes=processes,
        dispatch_per_second=dispatch,
        enqueue_many_per_second=enqueued,
        drain_per_second=drained,
        latency_p50_ms=_percentile(late, 0.5),
        latency_p99_ms=_percentile(late, 0.99),
    )


def _dispatch(count: int) -> float:
    for number in range(_WARM):
        stamp.delay(number)
    begun = time.perf_counter()
    for number in range(count):
        stamp.delay(number)
    return count / (time.perf_counter() - begun)


def _enqueue_many(count: int) -> tuple[str, float]:
    """Return the first job's id, and the rate."""
    begun = time.perf_counter()
    first = ""
    for job_id in stamp.enqueue_many(range(count)):
        first = first or job_id
    return first, count / (time.perf_counter() - begun)


@contextlib.contextmanager
def _worker(processes: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real ``umbel worker``, which ends with this process however that ends."""
    command = [sys.executable, "-m", "umbel", "worker", "-A", "umbel.cli.bench_jobs:jobs", "--loglevel", "ERROR"]
    reading, writing = os.pipe()
    environment = os.environ | {lifeline.VARIABLE: str(reading)}
    with Path(_LOG).open("wb") as log:
        worker = subprocess.Popen(
            [*command, "--processes", str(processes)], env=environment, pass_fds=(reading,), stdout=log, stderr=log
        )
    os.close(reading)
    try:
        yield worker
    finally:
        worker.terminate()
        try:
            worker.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
        os.close(writing)


def _drain(worker: subprocess.Popen[bytes], first: str, count: int) -> float:
    """From when the first job ran, the worker's start left out, to when nothing waits and every result is stored."""
    deadline = time.monotonic() + _SECONDS + count / _SLOWEST
    while any(queue.ready or queue.leased or queue.suspect for queue in jobs.engine.queues()):
        _check(worker, deadline)
        time.sleep(_POLL)
    ended = time.monotonic()
    return count / (ended - _ran_at(first, deadline))


def _latencies(worker: subprocess.Popen[bytes]) -> list[float]:
    deadline = time.monotonic() + _SECONDS
    late: list[float] = []
    for number in range(_LATENCIES):
        time.sleep(random.uniform(*_PAUSE))
        sent = time.monotonic()
        ran = _ran_at(stamp.delay(number).id, deadline)
        late.append((ran - sent) * 1000)
        _check(worker, deadline)
    return late


def _ran_at(job_id: str, deadline: float) -> float:
    from celery.exceptions import TimeoutError as CeleryTimeoutError

    result: Any = jobs.AsyncResult(job_id)
    try:
        return float(result.get(timeout=max(1.0, deadline - time.monotonic()), interval=_POLL))
    except CeleryTimeoutError:
        raise Failure("The worker is too slow to be measured here.", EX_UNAVAILABLE) from None


def _check(worker: subprocess.Popen[bytes], deadline: float) -> None:
    if worker.poll() is not None:
        lines = Path(_LOG).read_text(errors="replace").splitlines()
        raise Failure(f"The worker ended by itself: {lines[-1] if lines else worker.returncode}")
    if time.monotonic() > deadline:
        raise Failure("The worker is too slow to be measured here.", EX_UNAVAILABLE)


def _percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
