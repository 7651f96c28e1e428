"""C34, C8: a queue with lines beside a plain model of them, in any order of operations, on both engines."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from umbel.engine.registry import open_engine
from umbel.engine.store import Delivery, Engine, Outgoing, Settled
from umbel.testing.contract._suite import payload

#: "p" is who has no key.
SHARES = ("a", "b", "c", "p")
MOST = 4
#: So many others of its priority go before a line's first, when it waits: two rounds of four lines, each with what a
#: fetch of four may take of one at a time.
PATIENCE = 2 * len(SHARES) * 2 + 4


class Machine(RuleBasedStateMachine):
    """What waits, by priority and share, the first to go first."""

    engine: ClassVar[Engine]
    number: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).number += 1
        self.queue = "q"
        self.waits: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.held: list[tuple[tuple[int, str], Delivery]] = []
        self.passed: Counter[tuple[int, str]] = Counter()
        self.sent = 0

    @rule(share=st.sampled_from(SHARES), count=st.integers(1, 30), priority=st.sampled_from((0, 9)))
    def put(self, share: str, count: int, priority: int) -> None:
        names = [f"{self.number}-{self.sent + number}" for number in range(count)]
        self.sent += count
        headers = {} if share == "p" else {"umbel_share": share}
        self.engine.enqueue([Outgoing(self.queue, payload(one, **headers), one, priority) for one in names])
        self.waits[priority, share] += names

    @rule(limit=st.integers(1, MOST))
    def fetch(self, limit: int) -> None:
        found = self.engine.fetch({self.queue: 0}, limit)
        assert len(found) == min(limit, sum(map(len, self.waits.values()))), "nothing is left where somebody asks"
        for one in found:
            places = [place for place, names in self.waits.items() if names and names[0] == one.task_id]
            assert places, f"{one.task_id} is not the first of a line"
            (place,) = places
            assert place[0] == max(priority for (priority, _), names in self.waits.items() if names), (
                "urgent ones first"
            )
            self.waits[place].pop(0)
            self.held.append((place, one))
            del self.passed[place]
            for other, names in self.waits.items():
                if names and other[0] == place[0] and other != place:
                    self.passed[other] += 1

    @precondition(lambda self: self.held)
    @rule(again=st.booleans(), count=st.integers(1, 5))
    def settle(self, again: bool, count: int) -> None:
        # Of what goes back in two steps each engine makes an order of its own.
        count = len(self.held) if again else count
        some, self.held = self.held[:count], self.held[count:]
        self.engine.settle([Settled(one.seq, "requeue" if again else "ack") for _, one in some])
        for place, one in reversed(some) if again else ():
            self.waits[place].insert(0, str(one.task_id))
            del self.passed[place]

    @rule()
    def purge(self) -> None:
        assert self.engine.purge(self.queue) == sum(map(len, self.waits.values()))
        self.waits.clear()
        self.passed.clear()

    @invariant()
    def nobody_waits_for_long(self) -> None:
        late = {place: count for place, count in self.passed.items() if count > PATIENCE and self.waits[place]}
        assert not late, late

    @invariant()
    def depth_is_known(self) -> None:
        known = {queue.name: queue for queue in self.engine.queues()}.get(self.queue)
        counts = (known.ready, known.leased) if known is not None else (0, 0)
        assert counts == (sum(map(len, self.waits.values())), len(self.held))

    def teardown(self) -> None:
        self.engine.settle([Settled(one.seq, "ack") for _, one in self.held])
        self.engine.purge(self.queue)


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_c34_lines_are_as_the_model(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url: Any = request.getfixturevalue("redis_url") if store == "redis" else f"sqlite:///{tmp_path}/jobs.db"
    engine = open_engine(url)
    engine.open_lease("here@test", ["q"], 10)
    machine = type("OfStore", (Machine,), {"engine": engine})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=30,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
    finally:
        engine.close()
