"""``make soak``: full rate on Redis for twenty minutes, and nothing may grow. Exit code 1 when something did.

A producer keeps some thousands of jobs waiting: plain ones, retries, chains and chords. Results are kept for ten
seconds, so that the store itself comes to rest within the first minutes; processes are not replaced. What is measured
after the beginning is compared with the end: medians, and the slope of a line through everything in between. When
all is done nothing may be left that belongs to a job.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from tests.chaos.fleet import Fleet
from tests.chaos.redis_site import RedisSite
from tests.chaos.stages import application, end_in_order, until
from tests.chaos.stream import parcels

__all__ = ("Finding", "Sample", "Soak", "compare", "main")

_MIB: Final = 1 << 20
_PAUSE: Final = 0.005
#: Keys that come and go with each job: as many as wait, run, or have ended ten seconds ago.
_OF_JOBS: Final = ("celery-task-meta", "umbel:about", "umbel:job")
#: How much more there may be at the end: a share of what there was, and so much in any case.
_MAY_GROW: Final[dict[str, tuple[float, float]]] = {
    "worker_mib": (0.05, 2.0),
    "supervisor_mib": (0.05, 1.0),
    "recorder_mib": (0.10, 10.0),
    # The server's memory and its keys of jobs go with the rate, which a shared machine gives and takes. Without the
    # log of events, which breathes: what waits there for the recorder has a bound of its own.
    "redis_kib_a_job_key": (0.10, 0.05),
    "job_keys_a_job_a_second": (0.25, 2.0),
    "log_entries": (0.0, 50_000.0),
    "worker_fds": (0.0, 2.0),
    "worker_threads": (0.0, 2.0),
    "supervisor_fds": (0.0, 2.0),
    "redis_clients": (0.0, 4.0),
    "chord_keys": (0.25, 100.0),
    "keys_beside_jobs": (0.0, 10.0),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured ``at`` seconds from the beginning: values by name, and how many keys there are of each kind."""

    at: float
    values: dict[str, float]
    keys: dict[str, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one value between the beginning and the end. ``slope`` is a minute's growth."""

    name: str
    before: float
    after: float
    slope: float

    @property
    def grew(self) -> bool:
        """Whether it is more than it may be; what is only told never is."""
        share, least = _MAY_GROW.get(self.name, (0.0, float("inf")))
        return self.after > self.before + max(share * self.before, least)

    def line(self) -> str:
        """Return it on one line."""
        verdict = "told" if self.name not in _MAY_GROW else "grew" if self.grew else "ok"
        return f"soak {self.name} {self.before:.2f} then {self.after:.2f} slope {self.slope:+.3f} a minute {verdict}"


def compare(samples: Sequence[Sample], begins: float, ends: float, last: float) -> list[Finding]:
    """Compare the medians of the seconds from ``begins`` to ``ends`` with those of the ``last`` seconds."""
    end = samples[-1].at
    findings = []
    for name in samples[-1].values:
        early = [sample.values[name] for sample in samples if begins <= sample.at <= ends]
        late = [sample.values[name] for sample in samples if sample.at >= end - last]
        settled = [(sample.at / 60.0, sample.values[name]) for sample in samples if sample.at >= begins]
        slope = statistics.linear_regression(*zip(*settled, strict=True)).slope if len(settled) > 1 else 0.0
        findings.append(Finding(name, statistics.median(early), statistics.median(late), slope))
    return findings


@dataclass(slots=True, kw_only=True)
class Soak:
    """``seconds`` at full rate; ``longest`` is how long a job takes at most."""

    folder: Path
    seconds: float
    every: float
    processes: int = 2
    concurrency: int = 8
    backlog: int = 5_000
    results_seconds: int = 10
    say: Callable[[str], None] = print
    #: What was left in the store at the end that belongs to nothing: ``ok`` for nothing.
    left: str = field(default="", init=False)
    _sent: int = field(default=0, init=False)

    def run(self) -> list[Sample]:
        """Run, and return what was measured."""
        site = RedisSite(self.folder, append=False)
        fleet = Fleet(
            self.folder,
            site.direct,
            processes=self.processes,
            concurrency=self.concurrency,
            environment={
                "CHAOS_MARKS": "",
                "CHAOS_LONGEST": "0",
                "UMBEL_RESULT_EXPIRES": f"{self.results_seconds}s",
                "UMBEL_MAX_TASKS_PER_CHILD": "1000000000",
            },
        )
        fleet.start()
        try:
            until(lambda: len(fleet.children("worker")) == self.processes, "all processes")
            with self._producing(site):
                samples = list(self._samples(site, fleet))
            until(lambda: site.view.waiting() == 0, "an empty queue", site.view.waiting)
            fleet.stop()
            self.left = site.view.integrity()
        finally:
            fleet.abandon()
            site.close()
        return samples

    @contextmanager
    def _producing(self, site: RedisSite) -> Iterator[None]:
        """Dispatch from a thread as long as the block runs; raise its error after it."""
        stop = threading.Event()
        failed: list[BaseException] = []

        def produce() -> None:
            try:
                with application(site.direct) as tasks:
                    self._produce(tasks, site, stop)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=produce, name="produce")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if failed:
            raise failed[0]

    def _produce(self, tasks: Any, site: RedisSite, stop: threading.Event) -> None:
        for number, parcel in enumerate(parcels(tasks)):
            while site.backlog() > self.backlog and not stop.wait(_PAUSE):
                pass
            if stop.is_set():
                return
            name = f"{number}"
            parcel.send(name)
            self._sent += sum(1 for _ in parcel.effects(name))

    def _samples(self, site: RedisSite, fleet: Fleet) -> Iterator[Sample]:
        began = last = time.monotonic()
        sent = 0
        while (at := time.monotonic()) - began < self.seconds:
            time.sleep(max(0.0, last + self.every - at))
            now = time.monotonic()
            rate, last, sent = (self._sent - sent) / (now - last), now, self._sent
            sample = _measure(now - began, site, fleet, rate)
            self.say(
                f"  {sample.at:.0f} s: " + " ".join(f"{name} {value:.1f}" for name, value in sample.values.items())
            )
            yield sample


def _measure(at: float, site: RedisSite, fleet: Fleet, rate: float) -> Sample:
    workers, supervisor = fleet.children("worker"), fleet.supervisor
    info, keys, (entries, log_bytes) = site.view.info(), site.view.kinds(), site.view.log()
    job_keys, held = sum(keys[kind] for kind in _OF_JOBS), info["used_memory"] - log_bytes
    values = {
        "jobs_per_s": rate,
        "worker_mib": max(worker.memory_info().rss for worker in workers) / _MIB,
        "worker_fds": max(worker.num_fds() for worker in workers),
        "worker_threads": max(worker.num_threads() for worker in workers),
        "supervisor_mib": supervisor.memory_info().rss / _MIB,
        "supervisor_fds": supervisor.num_fds(),
        "recorder_mib": max((one.memory_info().rss for one in fleet.recorders()), default=0) / _MIB,
        "redis_mib": held / _MIB,
        "redis_kib_a_job_key": (held - info["used_memory_startup"]) / 1024 / max(job_keys, 1),
        "log_entries": entries,
        "log_mib": log_bytes / _MIB,
        "redis_rss_mib": psutil.Process(site.pid).memory_info().rss / _MIB,
        "redis_clients": info["connected_clients"],
        "job_keys": job_keys,
        "job_keys_a_job_a_second": job_keys / max(rate, 1.0),
        "chord_keys": keys["umbel:chord"],
        "keys_beside_jobs": sum(keys.values()) - job_keys - keys["umbel:chord"],
    }
    return Sample(at, values, dict(keys))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    seconds = 60.0 * options.minutes
    end_in_order()
    with tempfile.TemporaryDirectory(prefix="umbel-soak-") as folder:
        soak = Soak(folder=Path(folder), seconds=seconds, every=seconds / 120, processes=options.processes)
        samples = soak.run()
    # Of twenty minutes: the fourth to the sixth, and the last three.
    findings = compare(samples, 0.15 * seconds, 0.3 * seconds, 0.15 * seconds)
    for kind, count in sorted(samples[-1].keys.items()):
        print(f"soak keys {kind} {count}")
    for finding in findings:
        print(finding.line())
    grew = [finding.name for finding in findings if finding.grew]
    print(f"soak left {soak.left}")
    print(f"soak grew: {', '.join(grew)}" if grew else "soak ok")
    return 1 if grew or soak.left != "ok" else 0


if __name__ == "__main__":
    sys.exit(main())
