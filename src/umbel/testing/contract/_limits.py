"""Starts under a limit: exact in any window, each that waits with a time of its own (C33)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from umbel.engine.store import Outgoing
from umbel.state.limits import UNLIMITED, Ask, Limit, Limits, Rule, Start
from umbel.state.planner import Plan, reserve
from umbel.testing.contract._suite import QUEUE, Suite, ids, payload, until

__all__ = ("EngineLimits", "LimitPromises", "MemoryLog", "MemoryWaits", "most_in_any")

_THREADS: Final = 50
_PEERS: Final = 4
_LONG: Final = Rule(10, 60.0)
#: Some hundred starts in a second, so that racing threads have to wait, and not for long.
_SHORT: Final = Rule(15, 0.1)


def limit(rule: Rule, name: str = "a", base: str | None = None) -> Limit:
    """Return a limit."""
    return Limit(name, base or name, rule)


def most_in_any(times: Iterable[float], seconds: float) -> int:
    """Return how many of ``times`` the fullest window of ``seconds`` holds: from one of them on, without its end."""
    found = sorted(times)
    return max(
        (sum(one <= at < one + seconds - 1e-6 for at in found[place:]) for place, one in enumerate(found)), default=0
    )


@dataclass(slots=True)
class MemoryLog:
    """The starts of one limit, in memory."""

    rule: Rule
    plan: Plan = field(default_factory=Plan)
    starts: list[tuple[float, str, bool]] = field(default_factory=list)

    def before(self, at: float, skipped: int, most: int, *, firm: bool) -> list[float]:
        found = sorted((one for one, _, sure in self.starts if one <= at and (sure or not firm)), reverse=True)
        return found[skipped : skipped + most]

    def after(self, at: float, end: float, most: int, *, firm: bool) -> list[float]:
        return sorted(one for one, _, sure in self.starts if at < one < end and (sure or not firm))[:most]

    def put(self, at: float, owner: str, *, firm: bool, started: bool = False) -> None:
        self.starts.append((at, owner, firm))

    def drop(self, owner: str) -> None:
        self.starts = [one for one in self.starts if one[1] != owner]


class MemoryWaits(dict[str, float]):
    """Who waits for which start, in memory."""

    def take(self, ask: Ask) -> float | None:
        return self.pop(ask.owner, None)

    def put(self, ask: Ask, at: float) -> None:
        self[ask.owner] = at


class LimitPromises:
    """C33, whoever keeps the limits."""

    def limits(self) -> Limits:
        """Return the limits of an empty store."""
        raise NotImplementedError

    def ask(self, owner: str, *limits: Limit) -> Start:
        """Ask for one job."""
        (start,) = self.limits().reserve([Ask(owner, limits)])
        return start

    def ask_all(self, owners: Sequence[str], *limits: Limit) -> list[Start]:
        """Ask for several jobs, in one step."""
        return self.limits().reserve([Ask(owner, limits) for owner in owners])

    def start(self, owner: str, *limits: Limit) -> float:
        """Ask until the job may start, at its times; return when that is."""
        while (found := self.ask(owner, *limits)).wait:
            time.sleep(found.wait)
        return found.at

    def test_c33_each_that_waits_has_a_time_of_its_own_in_order(self) -> None:
        starts = self.ask_all([f"j{number}" for number in range(35)], limit(_LONG))
        assert [one.wait > 0 for one in starts] == [False] * 10 + [True] * 25
        times = [one.at for one in starts]
        assert times == sorted(times)
        assert most_in_any(times, 60) == 10
        assert 180 < starts[-1].wait < 185, "and no longer than that takes"
        assert self.ask("other", limit(_LONG, "b")).wait == 0

    def test_c33_whoever_asks_again_too_early_keeps_its_time(self) -> None:
        first = self.ask_all([f"j{number}" for number in range(12)], limit(_LONG))
        again = self.ask("j11", limit(_LONG))
        assert abs(again.at - first[11].at) < 0.01
        assert self.limits().waiting(["a", "b"])[0].jobs == 2

    def test_c33_whose_time_has_come_starts_before_all_who_wait(self) -> None:
        quick = limit(Rule(1, 0.05))
        starts = self.ask_all([f"j{number}" for number in range(100)], quick)
        assert starts[-1].wait > 4
        for owner in ("j1", "j2", "j3"):
            self.start(owner, quick)
        assert self.ask("j4", quick).wait < 1, "its time is its own, whatever is promised behind it"

    def test_c33_whoever_was_too_late_is_not_sent_to_the_end(self) -> None:
        first = Ask("j0", (limit(_LONG),))
        assert not self.limits().reserve([first])[0].wait
        self.ask_all([f"j{number}" for number in range(1, 40)], limit(_LONG))
        late = Ask("j0", (limit(_LONG),), late=first.mark)
        assert not self.limits().reserve([late])[0].wait, "what it had not used is its own still"
        lost = Ask("j0", (limit(_LONG),), late="unknown")
        assert 59 < self.limits().reserve([lost])[0].wait < 62

    def test_c33_a_key_that_waits_long_keeps_nobody_else_from_a_shared_limit(self) -> None:
        shared = limit(Rule(100, 60.0), "all")
        first = self.ask_all([f"a{number}" for number in range(50)], shared, limit(Rule(1, 60.0), "user:a", "user"))
        assert first[-1].wait > 49 * 60
        others = self.ask_all([f"b{number}" for number in range(50)], shared, limit(Rule(1000, 60.0), "user:b", "user"))
        assert not any(one.wait for one in others)
        assert most_in_any([one.at for one in [*first, *others]], 60) <= 100

    def test_c33_a_place_between_two_fits_on_both_sides(self) -> None:
        shared = limit(Rule(2, 60.0), "all")
        first = self.ask_all(["a0", "a1"], shared, limit(Rule(1, 40.0), "user:a", "user"))
        assert not first[0].wait
        assert 40 < first[1].wait < 42
        other = self.ask("b0", shared)
        assert 60 < other.wait < 63, "now, and up to a1's time, the window is full"
        assert most_in_any([*(one.at for one in first), other.at], 60) == 2

    def test_c33_a_bucket_grants_its_burst_and_then_its_rate(self) -> None:
        starts = self.ask_all([f"j{number}" for number in range(20)], limit(Rule(10, 60.0, 5)))
        assert [one.wait > 0 for one in starts] == [False] * 5 + [True] * 15
        waits = [one.wait for one in starts[5:]]
        assert all(abs(wait - 6 * number) < 0.1 for number, wait in enumerate(waits, 1))

    def test_c33_times_are_whole_microseconds_that_add_up(self) -> None:
        starts = self.ask_all([f"j{number}" for number in range(52)], limit(Rule(10, 1.0, 2)))
        times = [start.at * 1e6 for start in starts]
        assert max(abs(at - round(at)) for at in times) < 0.3, "a float can tell quarters of them"
        assert [round(at - times[0]) for at in times[2:]] == [100_000 * number for number in range(1, 51)]

    def test_c33_a_limit_that_is_changed_holds_from_the_next_start_on(self) -> None:
        limits = self.limits()
        self.ask_all([f"j{number}" for number in range(12)], limit(_LONG))
        limits.change("a", Rule(1000, 60.0))
        assert limits.changes() == {"a": Rule(1000, 60.0)}
        assert self.ask("more", limit(_LONG)).wait == 0
        assert self.ask("j11", limit(_LONG)).wait == 0, "who waits has a new time too"
        limits.change("a", UNLIMITED)
        assert not any(one.wait for one in self.ask_all([f"k{number}" for number in range(2000)], limit(_LONG)))
        limits.change("a", None)
        assert limits.changes() == {}
        assert self.ask("last", limit(_LONG)).wait > 0

    def test_c33_a_wider_limit_is_filled_from_the_front(self) -> None:
        self.ask_all([f"j{number}" for number in range(40)], limit(_LONG))
        self.limits().change("a", Rule(20, 60.0))
        waits = [one.wait for one in self.ask_all([f"k{number}" for number in range(15)], limit(_LONG))]
        assert [wait > 0 for wait in waits] == [False] * 10 + [True] * 5
        assert waits[-1] < 62, "what is promised by the old rule leaves places between"

    def test_c33_what_is_given_back_is_anothers(self) -> None:
        starts = self.ask_all([f"j{number}" for number in range(12)], limit(_LONG))
        self.limits().give_back(Ask("j10", (limit(_LONG),)))
        assert [one.jobs for one in self.limits().waiting(["a"])] == [1]
        assert self.ask("other", limit(_LONG)).at <= starts[11].at + 0.01

    def test_c33_threads_that_race_never_start_more_than_the_count(self) -> None:
        assert most_in_any(self.race(_SHORT), _SHORT.seconds) <= _SHORT.count

    def test_c33_threads_that_race_never_start_more_than_the_bucket_has(self) -> None:
        rule = Rule(30, 0.1, 20)
        times = self.race(rule)
        for seconds in (0.01, 0.05, 0.1):
            assert most_in_any(times, seconds) <= rule.burst + rule.count / rule.seconds * seconds + 1e-3

    def race(self, rule: Rule) -> list[float]:
        """Let many threads start a job each as soon as they may; return when that was."""
        under = limit(rule)
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(lambda number: self.start(f"t{number}", under), range(_THREADS)))

    def test_c33_a_store_answers_as_the_rule_says(self) -> None:
        """Whatever is asked in whatever order, as the planner answers that has the same in memory."""
        chance = random.Random(33)
        rules = {"one": Rule(1, 0.02), "few": Rule(3, 0.05), "many": Rule(8, 2.0), "bucket": Rule(10, 1.0, 2)}
        logs, waits = {name: MemoryLog(rule) for name, rule in rules.items()}, MemoryWaits()
        under, marks = dict[str, list[str]](), list[str]()
        for number in range(400):
            again = chance.random() < 0.4 and bool(waits)
            owner = chance.choice(sorted(waits)) if again else f"j{number}"
            names = under.setdefault(owner, chance.sample(sorted(rules), chance.randint(1, 3)))
            late = chance.choice(marks) if marks and chance.random() < 0.1 else ""
            ask = Ask(owner, tuple(limit(rules[name], name) for name in names), late)
            (found,) = self.limits().reserve([ask])
            expected = reserve(ask, [logs[name] for name in names], waits, found.at - found.wait)
            assert abs(found.at - expected.at) < 1e-3, (number, ask, found, expected)
            assert bool(found.wait) == bool(expected.wait), (number, ask, found, expected)
            marks += [] if found.wait else [ask.mark]
            if chance.random() < 0.2:
                time.sleep(0.005)


class EngineLimits(Suite, LimitPromises):
    """C33, of an engine."""

    def limits(self) -> Limits:
        return self.engine.limits

    def test_c33_processes_that_race_never_start_more_than_the_count(self) -> None:
        peers = [self.peer() for _ in range(_PEERS)]
        rule = limit(_LONG)
        for number, peer in enumerate(peers):
            peer.ask("reserve", [Ask(f"p{number}-{one}", (rule,)) for one in range(10)])
        starts = [one for peer in peers for one in peer.answer()]
        assert sum(one.wait == 0 for one in starts) == 10
        assert most_in_any([one.at for one in starts], 60) == 10

    def test_c33_who_waits_can_be_asked_under_which_limits(self) -> None:
        both = (limit(_LONG), limit(Rule(100, 60.0), "b:key", "b"))
        limits = self.engine.limits
        first = limits.reserve([Ask(f"j{number}", both) for number in range(11)])[-1]
        found = limits.promised("j10", ["a", "b", "none"])
        assert set(found) == {"a", "b"}
        assert all(abs(at - first.at) < 1 for at in found.values())
        assert limits.promised("j0", ["a", "b"]) == {}, "it has started"

    def test_c33_who_waits_is_due_when_its_limit_is_changed(self) -> None:
        starts = self.ask_all([f"j{number}" for number in range(13)], limit(_LONG))
        waiting = [f"j{number}" for number in range(10, 13)]
        self.engine.enqueue(
            [Outgoing(QUEUE, payload(one), one, due=start.at) for one, start in zip(waiting, starts[10:], strict=True)]
        )
        assert self.get() == []
        self.engine.limits.change("a", Rule(12, 60.0))
        found = until(self.get, "those that wait")
        assert ids(found) == waiting
        assert [one.wait > 0 for one in self.ask_all(waiting, limit(_LONG))] == [False, False, True]
