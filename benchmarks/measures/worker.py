"""P6: what a worker process costs: memory, time to the first job, idle processor time, and what importing adds."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.meter import metered
from benchmarks.site import Broken, Site, Worker
from benchmarks.subjects import SUBJECTS, Subject

__all__ = ["worker"]

_BOOT = 30.0
_SETTLE = 3.0
_TIMER = "import time; begun = time.perf_counter(); {statement}; print(time.perf_counter() - begun)"
# Both packages load nothing until a name is used, so it is their application classes that are compared.
_IMPORTS = {"celery": "from celery import Celery", "umbel": "from umbel import Umbel"}


def worker(bench: Bench) -> None:
    """Measure and show; a failure of one part does not hide the others."""
    for name in ("umbel", "umbel-redis"):
        subject = SUBJECTS[name]
        if bench.available(subject):
            _attempt(bench, lambda bench, subject=subject: _first_job(bench, subject))
            _attempt(bench, lambda bench, subject=subject: _idle(bench, subject))
    _attempt(bench, _imports)


def _attempt(bench: Bench, part: Callable[[Bench], None]) -> None:
    try:
        part(bench)
    except Broken as broken:
        bench.fail(str(broken))


def _first_job(bench: Bench, subject: Subject) -> None:
    seconds: list[float] = []
    for number in range(bench.plan.boots):
        bench.say(f"worker, {subject.name}, boot {number + 1} of {bench.plan.boots}")
        with bench.site(subject) as here:
            here.client("fill", jobs=1)
            with here.worker(subject.variants[0]) as running:
                seconds.append(_await_first(here) - running.begun)
    bench.sample("first_job_seconds", subject.name, {"seconds": seconds})
    bench.show(Figure("P6", f"{_prefix(subject)}first_job_s", median(seconds), 0.8, 0.6, True))


def _idle(bench: Bench, subject: Subject) -> None:
    bench.say(f"worker, {subject.name}, idle for {bench.plan.idle_seconds:.0f} s")
    with bench.site(subject) as here:
        here.client("fill", jobs=1)
        with here.worker(subject.variants[0]) as running:
            _await_first(here)
            time.sleep(_SETTLE)
            memory = _memory(running)
            with metered(subject) as meter:
                percent = _idle_percent(running, bench.plan.idle_seconds)
    commands = meter.used.commands / bench.plan.idle_seconds if meter.used else None
    found = {"rss_mb": memory, "cpu_percent": percent, "redis_commands_per_second": commands}
    bench.sample("idle", subject.name, found)
    prefix = _prefix(subject)
    bench.show(Figure("P6", f"{prefix}worker_rss_mb", memory["child"], 75, 60, True))
    bench.show(Figure("P6", f"{prefix}supervisor_rss_mb", memory["supervisor"], lower_is_better=True))
    bench.show(Figure("P6", f"{prefix}idle_cpu_percent", percent, 1, 1, True))
    if commands is not None:
        bench.show(Figure("P6", f"{prefix}idle_commands_per_second", commands, 20, 20, True))


def _prefix(subject: Subject) -> str:
    return "redis_" if subject.server else ""


def _imports(bench: Bench) -> None:
    bench.say("worker, imports")
    taken: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for _ in range(bench.plan.imports):
        for name, statement in _IMPORTS.items():
            taken[name].append(_import_ms(statement))
    bench.sample("import_ms", "umbel", taken)
    added = median(taken["umbel"]) - median(taken["celery"])
    bench.show(Figure("P6", "import_ms_added_to_celery", added, goal=60, lower_is_better=True))


def _await_first(here: Site) -> float:
    deadline = time.monotonic() + _BOOT
    while not here.done().jobs:
        if time.monotonic() > deadline:
            raise Broken(f"no job ran within {_BOOT:.0f} s of starting the worker: {here.last_lines('worker.log')}")
        time.sleep(0.002)
    return here.done().first


def _memory(running: Worker) -> dict[str, float]:
    """Megabytes of the supervisor and of the largest process below it (there is one, and perhaps a tracker)."""
    top, *children = [process.memory_info().rss / 1e6 for process in running.family()]
    return {"supervisor": top, "child": max(children, default=top)}


def _idle_percent(running: Worker, seconds: float) -> float:
    before, begun = running.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (running.cpu_seconds() - before) / (time.monotonic() - begun) * 100


def _import_ms(statement: str) -> float:
    command = [sys.executable, "-c", _TIMER.format(statement=statement)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path.home(), check=False)
    if done.returncode:
        raise Broken(f"{statement!r} failed: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout) * 1000
