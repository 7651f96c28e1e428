"""A campaign: dispatch, kill at random moments all along, wait for the end, judge."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.chaos import marks
from tests.chaos.account import account, histories, telling
from tests.chaos.fleet import Fleet
from tests.chaos.killer import Kill, Killer, Victim
from tests.chaos.site import EmbeddedSite, Site, View
from tests.chaos.stages import application, strike, until
from tests.chaos.verdict import Verdict, judge
from tests.chaos.workload import Work

__all__ = ("Campaign",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """``kills`` strikes over ``workload``: ``quarantine`` at the one for suspects, ``everything`` at all."""

    folder: Path
    workload: Work
    site: Callable[[Path], Site] = EmbeddedSite
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
        site = self.site(self.folder)
        fleet = Fleet(self.folder, site.broker, processes=self.processes, concurrency=self.concurrency, pool=self.pool)
        observer = site.observe()
        fleet.start()
        try:
            with telling(self.folder, fleet, site.view):
                with _dispatching(self.workload, site.broker):
                    until(lambda: marks.count(self.folder) > 0, "the first mark")
                    kills = list(self._strikes(Killer(fleet, site.view, random.Random(self.seed)), fleet))
                self._finish(site.view)
                code = fleet.stop()
            verdict = self._judge(kills, *observer.stop())
            self._look_over(verdict, site.view, code)
            if verdict.faults:
                verdict.story += [kill.line() for kill in kills]
                verdict.story += histories(marks.read(self.folder), verdict.missing, verdict.strange)
                verdict.story += [account(self.folder, fleet, site.view)]
        finally:
            fleet.abandon()
            observer.close()
            site.close()
        return verdict

    def _judge(self, kills: list[Kill], states: int, left: list[str]) -> Verdict:
        work, atomic = self.workload, self.pool == "default"
        exact = self.site is EmbeddedSite
        verdict = judge(work.jobs, work.effects(), marks.read(self.folder), kills, atomic=atomic, exact=exact)
        verdict.figures = {"states_seen": states, "left_an_end": len(left)}
        verdict.faults += [f"left an end: {change}" for change in left[:5]]
        return verdict

    def _strikes(self, killer: Killer, fleet: Fleet) -> Iterator[Kill]:
        chance = random.Random(self.seed + 1)
        whole = 2 * self.workload.executions
        for number, victim in enumerate(self._victims(chance)):
            # A random moment within each of the equal parts of the work, the last part without.
            point = whole * (number + chance.random()) / (self.kills + 1)
            until(partial(self._has, point), f"{point:.0f} marks", self._moving())
            kill = strike(killer, victim)
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

    def _finish(self, store: View) -> None:
        until(lambda: store.waiting() == 0, "an empty queue", lambda: (marks.count(self.folder), store.waiting()))

    def _look_over(self, verdict: Verdict, store: View, code: int) -> None:
        letters, expected = store.dead(), self.workload.failures
        if len(letters) != expected:
            verdict.faults.append(f"{expected} jobs had to fail, and there are {len(letters)} dead letters")
        for task_id, reason in letters:
            if "worker lost" in reason:
                verdict.faults.append(f"dead letter of {task_id}: {reason}")
        states = store.states()
        if states != self.workload.states:
            verdict.faults.append(f"jobs had to end in {self.workload.states}, and the store says {states}")
        if store.integrity() != "ok":
            verdict.faults.append(f"the store is damaged: {store.integrity()}")
        if code != 0:
            verdict.faults.append(f"the worker's exit code was {code}")


@contextmanager
def _dispatching(workload: Work, broker: str) -> Iterator[None]:
    """Dispatch from a thread while the block runs; raise its error after it."""
    failed: list[BaseException] = []

    def dispatch() -> None:
        try:
            with application(broker) as tasks:
                workload.dispatch(tasks)
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
