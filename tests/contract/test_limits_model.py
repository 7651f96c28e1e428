"""The rule of limits against a plain model of itself: whoever asks when, no window holds too much, and all start."""

from __future__ import annotations

from itertools import count
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from umbel.state.limits import Ask, Limit, Rule
from umbel.state.planner import EPSILON, reserve, rounded
from umbel.testing.contract._limits import MemoryLog, MemoryWaits

RULES: Final = {
    "one": Rule(1, 1.0),
    "few": Rule(3, 10.0),
    "many": Rule(20, 10.0),
    "bucket": Rule(2, 1.0, 4),
}
NAMES = st.lists(st.sampled_from(sorted(RULES)), min_size=1, max_size=3, unique=True)


class Model(RuleBasedStateMachine):
    """C33: starts are exact in any window, however late and in whatever order jobs come."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.logs = {name: MemoryLog(rule) for name, rule in RULES.items()}
        self.waits = MemoryWaits()
        self.asks: dict[str, Ask] = {}
        self.starts: dict[str, list[float]] = {name: [] for name in RULES}
        self.numbers = count()
        self.punctual = True

    def ask(self, ask: Ask) -> float:
        names = [limit.name for limit in ask.limits]
        start = reserve(ask, [self.logs[name] for name in names], self.waits, self.now)
        if start.wait:
            assert start.at > self.now
            self.asks[ask.owner] = ask
        else:
            self.asks.pop(ask.owner, None)
            for name in names:
                self.starts[name].append(self.now)
        return start.wait

    @rule(names=NAMES, many=st.integers(1, 8))
    def new(self, names: list[str], many: int) -> None:
        """Jobs come."""
        for _ in range(many):
            limits = tuple(Limit(name, name, RULES[name]) for name in names)
            self.ask(Ask(f"j{next(self.numbers)}", limits))

    @rule(seconds=st.floats(0.001, 4.0))
    def pass_by(self, seconds: float) -> None:
        """Time passes, and whose time it is does not come at once."""
        self.now += seconds
        self.punctual = self.punctual and not any(at < self.now for at in self.waits.values())

    @precondition(lambda self: self.asks)
    @rule()
    def next_comes(self) -> None:
        """The first that waits comes at its time; or late, if that was before."""
        owner = min(self.waits, key=self.waits.__getitem__)
        self.now = max(self.now, self.waits[owner])
        waited = self.ask(self.asks[owner])
        if self.punctual and not any(limit.name == "bucket" for limit in self.asks.get(owner, Ask("", ())).limits):
            assert not waited, "where all come in time each waits once"

    @precondition(lambda self: self.asks)
    @rule(data=st.data())
    def somebody_comes(self, data: st.DataObject) -> None:
        """Somebody asks again, too early or too late."""
        owner = data.draw(st.sampled_from(sorted(self.asks)))
        before = self.waits[owner]
        waited = self.ask(self.asks[owner])
        if waited and before > self.now:
            assert self.now + waited <= before + 1e-3, "who is early does not lose by it"

    @invariant()
    def exact(self) -> None:
        """No window holds more starts than the limit."""
        for name, times in self.starts.items():
            rule = RULES[name]
            for place, at in enumerate(times):
                if not rule.burst:
                    later = times[place + rule.count : place + rule.count + 1]
                    assert not later or later[0] - at >= rule.seconds - EPSILON, (name, times)
            if rule.burst:
                for first in range(len(times)):
                    for last in range(first, len(times)):
                        most = rule.burst + (times[last] - times[first]) * rule.count / rule.seconds
                        assert last - first + 1 <= most + 1e-3

    def teardown(self) -> None:
        """All start in the end."""
        for _ in range(200 * (len(self.asks) + 1)):
            if not self.asks:
                break
            owner = min(self.waits, key=self.waits.__getitem__)
            self.now = max(self.now, self.waits[owner])
            self.ask(self.asks[owner])
        assert not self.asks
        self.exact()


Model.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase


def test_c33_what_is_promised_adds_up() -> None:
    """A tenth of a second is no binary fraction; nothing of what is lost with each may be left by the hundredth."""
    log, now = MemoryLog(Rule(10, 1.0, 2)), rounded(1_764_147_600.123457)
    starts = [reserve(Ask(f"j{number}", (), ""), [log], MemoryWaits(), now) for number in range(102)]
    assert [start.at for start in starts] == [now, now, *(rounded(now + number / 10) for number in range(1, 101))]


def test_c33_a_start_that_follows_another_by_a_whole_window_is_beside_it() -> None:
    for number in range(1000):
        now = rounded(1_764_147_600 + number * 0.001237)
        log = MemoryLog(Rule(1, 0.02))
        log.put(rounded(now + 0.025), "later", firm=True)
        assert not reserve(Ask("now", (), ""), [log], MemoryWaits(), now).wait
