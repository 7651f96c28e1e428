"""The dispatching and observing side of one subject: ``python -m benchmarks.inside.client MODULE VERB ...``.

It prints one JSON object. MODULE is one of the ``*_jobs`` modules here, imported by the interpreter that has the
subject installed.
"""

import argparse
import importlib
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from benchmarks.inside import tally

__all__ = ["Jobs", "main"]

_POLL = 0.004
_WARM = 200
_PAUSE = (0.02, 0.04)


class Jobs(Protocol):
    """What a ``*_jobs`` module offers."""

    def dispatch(self, number: int) -> object:
        """Dispatch one no-op, as an application would, one by one."""

    def fill(self, count: int, delay: float | None) -> None:
        """Enqueue ``count`` no-ops the quickest way the subject has; ``delay`` in seconds puts them into the future."""

    def send_stamp(self, sent: float) -> object:
        """Dispatch a job that calls :func:`tally.stamp`."""

    def settled(self, count: int) -> bool:
        """Whether the results of ``count`` jobs are stored and nothing is left in the queue."""

    def versions(self) -> dict[str, str]:
        """The subject's libraries and their versions."""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and print its outcome."""
    options = _parser().parse_args(arguments)
    jobs = cast(Jobs, importlib.import_module(options.module))
    outcome = _VERBS[options.verb](jobs, options)
    print(json.dumps(outcome), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.inside.client")
    parser.add_argument("module")
    parser.add_argument("verb", choices=sorted(_VERBS))
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--delay", type=float)
    parser.add_argument("--bodies-only", action="store_true", help="do not wait until results are stored")
    parser.add_argument("--deadline", type=float, default=300.0)
    return parser


def _dispatch(jobs: Jobs, options: argparse.Namespace) -> dict[str, Any]:
    for number in range(_WARM):
        jobs.dispatch(number)
    begun, used = time.perf_counter(), time.process_time()
    for number in range(options.jobs):
        jobs.dispatch(number)
    seconds = time.perf_counter() - begun
    return {
        "jobs": options.jobs,
        "seconds": seconds,
        "rate": options.jobs / seconds,
        "cpu_seconds": time.process_time() - used,
    }


def _fill(jobs: Jobs, options: argparse.Namespace) -> dict[str, Any]:
    begun = time.perf_counter()
    jobs.fill(options.jobs, options.delay)
    seconds = time.perf_counter() - begun
    return {"jobs": options.jobs, "seconds": seconds, "rate": options.jobs / seconds}


def _latency(jobs: Jobs, options: argparse.Namespace) -> dict[str, Any]:
    jitter = random.Random(7)
    directory = _directory()
    for _ in range(options.jobs):
        time.sleep(jitter.uniform(*_PAUSE))
        jobs.send_stamp(time.monotonic())
    _until(lambda: len(tally.stamps(directory)) >= options.jobs, options.deadline, "every stamped job to run")
    return {"jobs": options.jobs, "seconds": tally.stamps(directory)}


def _watch(jobs: Jobs, options: argparse.Namespace) -> dict[str, Any]:
    """Observe a drain from its first job to its last stored result.

    ``active`` is the first look at which every expected process had finished a job, so that the rate of two processes
    is not that of one while the other still starts.
    """
    if not options.bodies_only:
        jobs.settled(options.jobs)
    print("ready", flush=True)
    deadline = time.monotonic() + options.deadline
    total, active = _await_bodies(options, deadline)
    if not options.bodies_only:
        _until(lambda: jobs.settled(options.jobs), deadline - time.monotonic(), "all results to be stored")
    return {
        "jobs": total.jobs,
        "first": total.first,
        "last": total.last,
        "settled": time.monotonic(),
        "active": active,
        "processes": total.processes,
    }


def _await_bodies(options: argparse.Namespace, deadline: float) -> tuple[tally.Total, tuple[float, int]]:
    """Look every few milliseconds until all jobs are done; also return when, and after how many, all were active."""
    directory = _directory()
    active: dict[int, tuple[float, int]] = {}
    told = False
    while True:
        total, now = tally.read(directory), time.monotonic()
        active.setdefault(total.processes, (now, total.jobs))
        if not told and total.processes >= options.processes:
            told = True
            print("active", flush=True)
        if total.jobs >= options.jobs:
            most = min(total.processes, options.processes)
            return total, active[min(number for number in active if number >= most)]
        if now > deadline:
            raise SystemExit(f"only {total.jobs} of {options.jobs} jobs were done in time; read worker.log")
        time.sleep(_POLL)


def _versions(jobs: Jobs, options: argparse.Namespace) -> dict[str, Any]:
    import sqlite3

    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version} | jobs.versions()


def _directory() -> Path:
    return Path(os.environ[tally.DIRECTORY])


def _until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:.0f} s for {what}; read worker.log")
        time.sleep(_POLL)


_VERBS: dict[str, Callable[[Jobs, argparse.Namespace], dict[str, Any]]] = {
    "dispatch": _dispatch,
    "fill": _fill,
    "latency": _latency,
    "watch": _watch,
    "versions": _versions,
}


if __name__ == "__main__":
    sys.exit(main())
