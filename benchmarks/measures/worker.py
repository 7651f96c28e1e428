"""P6: what a worker process costs: memory, time to the first job, idle processor time, and what importing adds."""

import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.site import Broken, Site, Worker, site
from benchmarks.subjects import SUBJECTS

__all__ = ["worker"]

_BOOT = 30.0
_SETTLE = 3.0
_TIMER = "import time; begun = time.perf_counter(); {statement}; print(time.perf_counter() - begun)"
# Both packages load nothing until a name is used, so it is their application classes that are compared.
_IMPORTS = {"celery": "from celery import Celery", "umbel": "from umbel import Umbel"}


def worker(bench: Bench) -> None:
    """Measure and show; a failure of one part does not hide the others."""
    for part in (_first_job, _idle, _imports):
        try:
            part(bench)
        except Broken as broken:
            bench.fail(str(broken))


def _first_job(bench: Bench) -> None:
    seconds: list[float] = []
    for number in range(bench.plan.boots):
        bench.say(f"worker, boot {number + 1} of {bench.plan.boots}")
        with _umbel_site(bench) as here:
            here.client("fill", jobs=1)
            with here.worker(SUBJECTS["umbel"].variants[0]) as running:
                seconds.append(_await_first(here) - running.begun)
    bench.sample("first_job_seconds", "umbel", {"seconds": seconds})
    bench.show(Figure("P6", "first_job_s", median(seconds), 0.8, 0.6, True))


def _idle(bench: Bench) -> None:
    bench.say(f"worker, idle for {bench.plan.idle_seconds:.0f} s")
    with _umbel_site(bench) as here:
        here.client("fill", jobs=1)
        with here.worker(SUBJECTS["umbel"].variants[0]) as running:
            _await_first(here)
            time.sleep(_SETTLE)
            memory = _memory(running)
            percent = _idle_percent(running, bench.plan.idle_seconds)
    bench.sample("idle", "umbel", {"rss_mb": memory, "cpu_percent": percent})
    bench.show(Figure("P6", "worker_rss_mb", memory["child"], 75, 60, True))
    bench.show(Figure("P6", "supervisor_rss_mb", memory["supervisor"], lower_is_better=True))
    bench.show(Figure("P6", "idle_cpu_percent", percent, 1, 1, True))


def _imports(bench: Bench) -> None:
    bench.say("worker, imports")
    taken: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for _ in range(bench.plan.imports):
        for name, statement in _IMPORTS.items():
            taken[name].append(_import_ms(statement))
    bench.sample("import_ms", "umbel", taken)
    added = median(taken["umbel"]) - median(taken["celery"])
    bench.show(Figure("P6", "import_ms_added_to_celery", added, goal=60, lower_is_better=True))


def _umbel_site(bench: Bench) -> AbstractContextManager[Site]:
    subject = SUBJECTS["umbel"]
    return site(subject, bench.environments.python(subject))


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
