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
from typing import Any

from benchmarks.inside import tally
from benchmarks.inside.calls import calls_of

__all__ = ["main"]

_POLL = 0.02
_WARM = 200
_WARM_LATE = 20
_PAUSE = (0.02, 0.04)


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and print its outcome."""
    options = _parser().parse_args(arguments)
    jobs = importlib.import_module(options.module)
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
    parser.add_argument("--how", default="", help="the name of the crowd's variant, for naps")
    parser.add_argument("--bodies-only", action="store_true", help="do not wait until results are stored")
    parser.add_argument("--deadline", type=float, default=120.0)
    return parser


def _dispatch(jobs: Any, options: argparse.Namespace) -> dict[str, Any]:
    seconds, used = calls_of(jobs).timed(_WARM, options.jobs)
    return {
        "jobs": options.jobs,
        "calls": options.jobs + _WARM,
        "seconds": seconds,
        "rate": options.jobs / seconds,
        "cpu_seconds": used,
    }


def _fill(jobs: Any, options: argparse.Namespace) -> dict[str, Any]:
    seconds = calls_of(jobs).fill(options.jobs, options.delay)
    return {"jobs": options.jobs, "seconds": seconds, "rate": options.jobs / seconds}


def _naps(jobs: Any, options: argparse.Namespace) -> dict[str, Any]:
    calls_of(jobs).naps(options.jobs, options.how)
    return {"jobs": options.jobs}


def _latency(jobs: Any, options: argparse.Namespace) -> dict[str, Any]:
    jitter = random.Random(7)
    directory = _directory()
    # The first calls open connections and declare queues, on both sides.
    count = options.jobs + _WARM_LATE
    calls_of(jobs).stamps([jitter.uniform(*_PAUSE) for _ in range(count)])
    _until(lambda: len(tally.stamps(directory)) >= count, options.deadline, "every stamped job to run")
    return {"jobs": options.jobs, "seconds": tally.stamps(directory)[_WARM_LATE:]}


def _watch(jobs: Any, options: argparse.Namespace) -> dict[str, Any]:
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


def _recorded(jobs: Any, options: argparse.Namespace) -> dict[str, Any]:
    _until(jobs.recorded, options.deadline, "the history to be written")
    return {}


def _versions(jobs: Any, options: argparse.Namespace) -> dict[str, Any]:
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


_VERBS: dict[str, Callable[[Any, argparse.Namespace], dict[str, Any]]] = {
    "dispatch": _dispatch,
    "fill": _fill,
    "naps": _naps,
    "recorded": _recorded,
    "latency": _latency,
    "watch": _watch,
    "versions": _versions,
}


if __name__ == "__main__":
    sys.exit(main())
