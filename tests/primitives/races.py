"""The races. Another one: a class with ``prepare``, ``run`` and ``judge``, and its line in :data:`RACES`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.primitives.race import Heat, Race, Racer
from tests.primitives.stores import Store
from umbel.engine.burial import letter_of
from umbel.engine.letters import LetterFilter
from umbel.engine.store import Delivery
from umbel.engine.uniques import UniqueKey
from umbel.jobs.dead_letters import DeadLetters, ReplayPolicy
from umbel.state.breakers import Threshold
from umbel.state.limits import Ask, Limit, Rule
from umbel.state.locks import Grant
from umbel.testing.contract._limits import most_in_any
from umbel.testing.contract._suite import payload, until

__all__ = ("RACES",)


class UniqueRace(Race):
    """C30: of all dispatches of one key one is queued, and every caller is told which."""

    name = "unique"

    def run(self, store: Store, heat: str, racer: Racer) -> None:
        for number in range(3):
            racer.tell("holder", store.dispatch(f"{heat}-{racer.name}-{number}", UniqueKey(heat, 600.0)))

    def judge(self, store: Store, heat: Heat) -> Iterator[str]:
        told = {holder for (holder,) in heat.words("holder")}
        everybody = [f"{heat.name}-{racer}-{number}" for racer in sorted(heat.racers) for number in range(3)]
        queued = store.known(everybody)
        if len(queued) != 1:
            yield f"{len(queued)} jobs of one key are queued: {queued[:5]}"
        if told - set(queued):
            yield f"callers were told {sorted(told)}, and queued is {queued}"
        if store.holder(heat.name) not in queued:
            yield f"the key is said to be {store.holder(heat.name)}'s"


class LockRace(Race):
    """C31: one at a time is inside, each with a larger number; who is killed inside keeps others out for a while."""

    name = "lock"

    def run(self, store: Store, heat: str, racer: Racer) -> None:
        with store.keeper.lock(heat, "2s", "120s") as lock:
            racer.tell("enter", lock.fence)
            time.sleep(0.001)
            # On a machine that stands still for two seconds it is lost, and whoever had it knows.
            racer.tell("lost" if lock.lost else "leave", lock.fence)

    def judge(self, store: Store, heat: Heat) -> Iterator[str]:
        inside, last, lost = "", 0, set(heat.by("lost"))
        for told in heat.told:
            kind, fence = told.words[0], int(told.words[1])
            if told.by in lost:
                continue
            if kind != "enter":
                inside = "" if inside == told.by else inside
                continue
            if inside and inside not in heat.killed:
                yield f"{told.by} is inside beside {inside}"
            if fence <= last:
                yield f"{told.by} has the number {fence}, which is not above {last}"
            inside, last = told.by, fence
        out = {*heat.by("leave"), *lost}
        if heat.racers - heat.killed - out:
            yield f"never inside: {sorted(heat.racers - heat.killed - out)}"


class ProbeRace(Race):
    """C29: of all that come when a breaker's time is over one is the probe."""

    name = "probe"
    _THRESHOLD: Final = Threshold(1, within=3600, open_for=0.01)

    def prepare(self, store: Store, heat: str) -> None:
        assert store.breakers.failed(heat, "nobody", self._THRESHOLD)
        until(lambda: store.breakers.opens_in(heat) == 0.0, "its time is over")

    def run(self, store: Store, heat: str, racer: Racer) -> None:
        passed = store.breakers.enter(heat, racer.name, 600.0)
        racer.tell("probes" if passed.probing else "waits" if passed.wait else "passes")

    def judge(self, store: Store, heat: Heat) -> Iterator[str]:
        probes = heat.by("probes")
        if len(probes) > 1 or (not probes and not heat.killed):
            yield f"{len(probes)} probe: {probes}"
        if heat.by("passes"):
            yield f"passed an open breaker: {heat.by('passes')}"


class ReplayRace(Race):
    """C36: however many sweep at a time, each letter is dispatched once."""

    name = "replay"
    _LETTERS: Final = 12

    def _names(self, heat: str) -> list[str]:
        return [f"{heat}-{number}" for number in range(self._LETTERS)]

    def prepare(self, store: Store, heat: str) -> None:
        for name in self._names(heat):
            delivery = Delivery(1, name, payload(name, task=f"shop.{heat}"), 1, task_id=name)
            store.write(letter_of(delivery, "why"))

    def run(self, store: Store, heat: str, racer: Racer) -> None:
        sweeper = DeadLetters(lambda: store)  # type: ignore[arg-type,return-value]
        policy = ReplayPolicy(where=LetterFilter(task=f"shop.{heat}"), older_than=0, a_pass=4)
        while done := sweeper.sweep(policy).numbers:
            for name in done:
                racer.tell("replayed", name)

    def judge(self, store: Store, heat: Heat) -> Iterator[str]:
        twice = [name for (name,), count in Counter(heat.words("replayed")).items() if count > 1]
        if twice:
            yield f"replayed by two: {twice}"
        for letter in store.letters.read(self._names(heat.name)):
            sent = store.waiting(letter.key)
            if (sent, letter.replays) != ((1, 1) if letter.replaying else (0, 0)):
                yield f"{letter.key}: {sent} messages, {letter.replays} replays"
            if not letter.replaying and not heat.killed:
                yield f"{letter.key} was not replayed"


class RateRace(Race):
    """C33: no window holds more than the limit, of starts and of those that are promised."""

    name = "rate"
    _RULE: Final = Rule(7, 3600.0)

    def run(self, store: Store, heat: str, racer: Racer) -> None:
        for number in range(3):
            ask = Ask(f"{heat}-{racer.name}-{number}", (Limit(heat, heat, self._RULE),))
            (start,) = store.limits.reserve([ask])
            racer.tell("waits" if start.wait else "starts", start.at)

    def judge(self, store: Store, heat: Heat) -> Iterator[str]:
        times = [float(at) for (at,) in heat.words("starts") + heat.words("waits")]
        most = most_in_any(times, self._RULE.seconds)
        if most > self._RULE.count:
            yield f"{most} starts in one window of a limit of {self._RULE.count}"
        # Who was killed may have had a start that it did not live to tell of.
        started = len(heat.by("starts"))
        if started > self._RULE.count or (started < self._RULE.count and not heat.killed):
            yield f"{started} started at once, and {self._RULE.count} may"


class SlotRace(Race):
    """C34: no more are inside than there are slots, each with a number of its own; and all come in."""

    name = "slots"
    _MOST: Final = 3

    def run(self, store: Store, heat: str, racer: Racer) -> None:
        def enter() -> Grant | None:
            grant = store.slots.acquire(heat, racer.name, 600.0, most=self._MOST)
            return grant if grant.fence else None

        grant = until(enter, "a slot is free")
        assert grant is not None
        racer.tell("enter", grant.fence)
        time.sleep(0.001)
        racer.tell("leave", grant.fence)
        assert store.slots.release(heat, grant.fence)

    def judge(self, store: Store, heat: Heat) -> Iterator[str]:
        inside: set[str] = set()
        for told in heat.told:
            (inside.add if told.words[0] == "enter" else inside.discard)(told.by)
            if len(inside) > self._MOST:
                yield f"{sorted(inside)} are inside of {self._MOST} slots"
        fences = heat.words("enter")
        if len(set(fences)) != len(fences):
            yield "two have one number"
        if heat.racers - heat.killed - set(heat.by("leave")):
            yield f"never inside: {sorted(heat.racers - heat.killed - set(heat.by('leave')))}"


RACES: Final[dict[str, Race]] = {
    race.name: race for race in (UniqueRace(), LockRace(), ProbeRace(), ReplayRace(), RateRace(), SlotRace())
}
