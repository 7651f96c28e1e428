"""The campaign on Redis: workers and the server are killed, the network is cut, and dispatching goes on all along."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos import marks
from tests.chaos.account import account, histories, telling
from tests.chaos.fleet import Fleet
from tests.chaos.killer import Killer, Victim
from tests.chaos.outages import BACK_SECONDS, Event, Outage, Outages, wait_until_back
from tests.chaos.redis_site import RedisSite
from tests.chaos.stages import StoppedMoving, application, strike, until
from tests.chaos.stream import Parcel, Stream, parcels
from tests.chaos.verdict import Verdict, judge

__all__ = ("RedisCampaign",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisCampaign:
    """At least ``jobs`` jobs, ``kills`` of processes, ``deaths`` of the server and ``cuts`` of the network.

    Of the kills ``quarantine`` are at processes for suspects and ``everything`` at all of them; a third of the cuts has
    one of them meanwhile. ``longest``: how long a job takes at most, in seconds.
    """

    folder: Path
    jobs: int
    kills: int
    deaths: int
    cuts: int
    quarantine: int
    everything: int
    processes: int = 3
    concurrency: int = 8
    backlog: int = 20_000
    parcels: Callable[[Any], Iterator[Parcel]] = parcels
    longest: float = 0.004
    seed: int = 0
    say: Callable[[str], None] = print

    def run(self) -> Verdict:
        """Run to the end. Raises :exc:`TimeoutError` when nothing moves any more."""
        site = RedisSite(self.folder)
        fleet = Fleet(
            self.folder,
            site.broker,
            processes=self.processes,
            concurrency=self.concurrency,
            environment={"CHAOS_LONGEST": f"{self.longest}"},
        )
        stream = Stream(site.backlog, self.backlog, self.parcels)
        fleet.start()
        try:
            with telling(self.folder, fleet, site.view):
                with self._streaming(stream, site.broker) as done:
                    until(lambda: marks.count(self.folder) > 0, "the first mark")
                    events = list(self._events(site, fleet))
                    done.set()
                self._finish(site)
                code = fleet.stop()
            verdict = self._judge(stream, events)
            self._look_over(verdict, stream, site, code)
            if verdict.faults:
                verdict.story += [event.line() for event in events]
                verdict.story += histories(marks.read(self.folder), verdict.missing, verdict.strange)
                verdict.story += [account(self.folder, fleet, site.view)]
        finally:
            fleet.abandon()
            site.close()
        return verdict

    @contextmanager
    def _streaming(self, stream: Stream, broker: str) -> Iterator[threading.Event]:
        """Dispatch from a thread until the event is set and there were enough jobs; raise its error after it."""
        done = threading.Event()
        failed: list[BaseException] = []

        def proceed(jobs: int) -> bool:
            return not failed and (jobs < self.jobs or not done.is_set())

        def dispatch() -> None:
            try:
                with application(broker) as tasks:
                    stream.run(tasks, proceed)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=dispatch, name="dispatch")
        thread.start()
        try:
            yield done
        except BaseException as error:
            for earlier in failed:
                error.add_note(f"dispatching had ended before: {type(earlier).__name__}: {earlier}")
            failed.append(error)
            raise
        finally:
            thread.join()
        if failed:
            raise failed[0]

    # -- faults -----------------------------------------------------------------------------------------------

    def _events(self, site: RedisSite, fleet: Fleet) -> Iterator[Event]:
        chance = random.Random(self.seed)
        killer = Killer(fleet, site.view, chance)
        outages = Outages(site, killer, fleet, chance)
        plan = self._plan(chance)
        companions = iter(self._companions(chance))
        for number, what in enumerate(plan):
            point = 2 * self.jobs * (number + chance.random()) / (len(plan) + 1)
            until(partial(self._has, point), f"{point:.0f} marks", self._marked)
            if what == "server" or what == "reset" or what == "freeze":
                event = outages.strike(what, companion=what != "server" and next(companions))
            else:
                kill = strike(killer, what)
                event = Event(kill.victim, kill.at, (kill,))
            event = wait_until_back(event, fleet, self.processes, self._marked_by)
            yield event
            self.say(
                f"  fault {number + 1} of {len(plan)}: {event.what}, {sum(len(kill.in_flight) for kill in event.kills)}"
                f" in flight at kills, all back after {event.back:.1f} s, {self._marked() // 2} jobs"
            )

    def _plan(self, chance: random.Random) -> list[Victim | Outage]:
        counts: dict[Victim | Outage, int] = {
            "suspects": self.quarantine,
            "everything": self.everything,
            "worker": self.kills - self.quarantine - self.everything - self.cuts // 3,
            "server": self.deaths,
            "reset": self.cuts // 2,
            "freeze": self.cuts - self.cuts // 2,
        }
        plan = [what for what, count in counts.items() for _ in range(count)]
        chance.shuffle(plan)
        return plan

    def _companions(self, chance: random.Random) -> list[bool]:
        which = [number < self.cuts // 3 for number in range(self.cuts)]
        chance.shuffle(which)
        return which

    # -- progress ---------------------------------------------------------------------------------------------

    def _marked(self) -> int:
        return marks.count(self.folder)

    def _marked_by(self, pid: int) -> int:
        return marks.count_of(self.folder, pid)

    def _has(self, point: float) -> bool:
        return self._marked() >= point

    def _finish(self, site: RedisSite) -> None:
        view = site.view
        try:
            until(lambda: view.waiting() == 0, "an empty queue", lambda: (self._marked(), view.waiting()))
        except StoppedMoving as error:
            raise StoppedMoving(f"{error}; {view.waiting()} messages: {view.held()}") from None

    # -- the end ----------------------------------------------------------------------------------------------

    def _judge(self, stream: Stream, events: list[Event]) -> Verdict:
        kills = [kill for event in events for kill in event.kills]
        verdict = judge(
            stream.jobs, stream.expected, marks.read(self.folder), kills, unknown=stream.unknown, exact=False
        )
        counted = Counter(event.what for event in events)
        verdict.figures = {
            "server_deaths": counted["server"],
            "cuts": counted["reset"] + counted["freeze"],
            "dispatch_errors": stream.errors,
            "slowest_back_s": round(max(event.back for event in events), 1),
        }
        late = [f"{event.what} {event.back:.1f} s" for event in events if event.back > BACK_SECONDS]
        if late:
            verdict.faults.append(f"not back at work within {BACK_SECONDS:g} s of the fault's end: {', '.join(late)}")
        return verdict

    def _look_over(self, verdict: Verdict, stream: Stream, site: RedisSite, code: int) -> None:
        for task_id, reason in site.view.dead():
            verdict.faults.append(f"dead letter of {task_id}: {reason}")
        states = site.view.states()
        if set(states) != {"SUCCESS"}:
            verdict.faults.append(f"every job had to end in SUCCESS, and the store says {states}")
        if site.view.integrity() != "ok":
            verdict.faults.append(f"the store keeps what it should not: {site.view.integrity()}")
        if code != 0:
            verdict.faults.append(f"the worker's exit code was {code}")
