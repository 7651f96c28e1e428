"""A campaign: dispatch, kill at random moments all along, wait for the end, judge."""

from __future__ import annotations

import importlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos import marks
from tests.chaos.fleet import Fleet
from tests.chaos.killer import Kill, Killer, Victim
from tests.chaos.store_view import StoreView
from tests.chaos.verdict import Verdict, judge
from tests.chaos.workload import Workload

__all__ = ("Campaign",)

_QUIET_SECONDS = 120.0
_PAUSE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """``kills`` strikes over ``workload``: ``quarantine`` at the one for suspects, ``everything`` at all."""

    folder: Path
    workload: Workload
    kills: int
    quarantine: int
    everything: int
    processes: int = 3
    concurrency: int = 8
    pool: str = "default"
    seed: int = 0
    say: Callable[[str], None] = print

    def run(self) -> Verdict:
        """Run to the end. Raises :exc:`TimeoutError` when nothing moves any more."""
        broker = f"sqlite:///{self.folder / 'chaos.db'}"
        fleet = Fleet(self.folder, broker, processes=self.processes, concurrency=self.concurrency, pool=self.pool)
        fleet.start()
        try:
            with _dispatching(self.workload, broker):
                store = StoreView(self.folder / "chaos.db")
                _until(lambda: marks.count(self.folder) > 0, "the first mark")
                kills = list(self._strikes(Killer(fleet, store, random.Random(self.seed)), fleet))
            self._finish(store)
            code = fleet.stop()
        finally:
            fleet.abandon()
        verdict = judge(
            self.workload.jobs, self.workload.effects(), marks.read(self.folder), kills, atomic=self.pool == "default"
        )
        self._look_over(verdict, store, code)
        return verdict

    def _strikes(self, killer: Killer, fleet: Fleet) -> Iterator[Kill]:
        chance = random.Random(self.seed + 1)
        whole = 2 * self.workload.executions
        for number, victim in enumerate(self._victims(chance)):
            # A random moment within each of the equal parts of the work, the last part without.
            point = whole * (number + chance.random()) / (self.kills + 1)
            _until(partial(self._has, point), f"{point:.0f} marks", self._moving())
            kill = _strike(killer, victim)
            yield kill
            self.say(f"  kill {number + 1}: {kill.victim} {list(kill.pids)}, {len(kill.in_flight)} in flight")

    def _victims(self, chance: random.Random) -> list[Victim]:
        victims: list[Victim] = ["suspects" for _ in range(self.quarantine)]
        victims += ["everything" for _ in range(self.everything)]
        victims += ["worker" for _ in range(self.kills - len(victims))]
        chance.shuffle(victims)
        # Before the first crash nobody is a suspect.
        first = victims.index("worker")
        victims[0], victims[first] = victims[first], victims[0]
        return victims

    def _has(self, point: float) -> bool:
        return marks.count(self.folder) >= point

    def _moving(self) -> Callable[[], int]:
        return lambda: marks.count(self.folder)

    def _finish(self, store: StoreView) -> None:
        _until(lambda: store.waiting() == 0, "an empty queue", lambda: (marks.count(self.folder), store.waiting()))

    def _look_over(self, verdict: Verdict, store: StoreView, code: int) -> None:
        for task_id, reason in store.dead():
            verdict.faults.append(f"dead letter of {task_id}: {reason}")
        states = store.states()
        if states != {"SUCCESS": self.workload.jobs}:
            verdict.faults.append(f"{self.workload.jobs} jobs had to end in SUCCESS, and the store says {states}")
        if store.integrity() != "ok":
            verdict.faults.append(f"the store is damaged: {store.integrity()}")
        if code != 0:
            verdict.faults.append(f"the worker's exit code was {code}")


def _strike(killer: Killer, victim: Victim) -> Kill:
    """Strike as soon as it can be done; nobody left to quarantine: strike a worker."""
    patience = time.monotonic() + 5.0
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        kill = killer.strike(victim)
        if kill is not None:
            return kill
        if victim == "suspects" and time.monotonic() > patience:
            victim = "worker"
        time.sleep(_PAUSE)
    raise TimeoutError(f"nobody to kill among {victim}")


@contextmanager
def _dispatching(workload: Workload, broker: str) -> Iterator[None]:
    """Dispatch from a thread while the block runs; raise its error after it."""
    failed: list[BaseException] = []

    def dispatch() -> None:
        try:
            workload.dispatch(_tasks(broker))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=dispatch, name="dispatch")
    thread.start()
    try:
        yield
    finally:
        thread.join()
        if failed:
            raise failed[0]


def _tasks(broker: str) -> Any:
    os.environ["UMBEL_BROKER_URL"] = broker
    try:
        tasks = importlib.import_module("tests.chaos.jobs")
        tasks.app.finalize()
        tasks.app.set_current()
        assert tasks.app.conf.broker_url == broker
    finally:
        del os.environ["UMBEL_BROKER_URL"]
    return tasks


def _until(condition: Callable[[], bool], what: str, moving: Callable[[], object] | None = None) -> None:
    """Wait until ``condition``. Raises :exc:`TimeoutError` when ``moving`` has not changed for two minutes."""
    last: object = None
    deadline = time.monotonic() + _QUIET_SECONDS
    while not condition():
        if moving is not None and moving() != last:
            last, deadline = moving(), time.monotonic() + _QUIET_SECONDS
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_QUIET_SECONDS:g} s in vain for {what}")
        time.sleep(_PAUSE)
