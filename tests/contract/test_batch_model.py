"""Batches and checkpoints against plain models of themselves, in any order of operations, on each store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from umbel.engine.batches import ANY, CANCELLED, DONE, FAILED, KINDS, MILLION, Batches, MemberEnd, Plan
from umbel.engine.registry import open_engine, open_state
from umbel.engine.store import Settled
from umbel.errors import BatchEnded
from umbel.ids import new_id
from umbel.testing.contract._batches import BesideBatches, message

MEMBERS = st.sampled_from([f"m{number}" for number in range(6)])
ALLOWED = st.sampled_from(
    [(0, False), (1, False), (2, False), (ANY, False), (MILLION // 2, True), (MILLION // 3, True)]
)


class Store:
    """One store: an engine, or a state store beside a broker."""

    def __init__(self, url: str) -> None:
        self.engine: Any = None
        self.state: Any = None
        if url.startswith("postgresql"):
            self.state = open_state(url)
            self.beside = BesideBatches(self.state.batches)
            self.batches: Batches = self.beside
        else:
            self.engine = open_engine(url)
            self.engine.ensure_lease(["default"])
            self.batches = self.engine.batches
        self.checkpoints = (self.engine or self.state).checkpoints

    def count(self, ends: list[MemberEnd]) -> None:
        entries = [Settled(end=one) for one in ends]
        if self.engine is not None:
            self.engine.settle(entries)
        else:
            self.beside.posted += self.state.settle("-1", entries, crash_limit=2).posted

    def queued(self) -> list[str]:
        if self.engine is not None:
            found = self.engine.fetch({"default": 0}, 1000)
            self.engine.settle([Settled(one.seq, "ack") for one in found])
            return [str(one.task_id) for one in found]
        posted, self.beside.posted = self.beside.posted, []
        self.state.posted([one.number for one in posted])
        return [str(one.message.task_id) for one in posted]

    def close(self) -> None:
        (self.engine or self.state).close()


class BatchModel(RuleBasedStateMachine):
    """Whatever happened before, the store and the model agree on the counters and on what is queued."""

    store: Store

    @initialize(allowed=ALLOWED)
    def begin(self, allowed: tuple[int, bool]) -> None:
        self.name = new_id()
        self.allowed, self.share = allowed
        self.members: dict[str, str] = {}
        self.closed = self.cancelled = False
        self.fired: list[str] = []
        called = {kind: [message(f"{kind} {self.name}")] for kind in KINDS}
        plan = Plan(id=self.name, name="x", allowed=self.allowed, share=self.share, callbacks=called)
        assert self.store.batches.open(plan)
        assert self.store.queued() == []

    # -- the model --------------------------------------------------------------------------------------------

    def states(self, *wanted: str) -> int:
        return sum(state in wanted for state in self.members.values())

    def due(self) -> list[str]:
        bad, total = self.states(FAILED, CANCELLED), len(self.members)
        if self.allowed == ANY:
            beyond = False
        elif self.share:
            beyond = total > 0 and bad / total > self.allowed / MILLION
        else:
            beyond = bad > self.allowed
        ended = self.closed and not self.states("p")
        found = []
        if ended and not self.cancelled and not beyond:
            found.append("then")
        if beyond and not self.cancelled and (self.closed or not self.share):
            found.append("catch")
        if ended:
            found.append("finally")
        found = [kind for kind in found if kind not in self.fired]
        self.fired += found
        return [f"{kind} {self.name}" for kind in found]

    # -- what may happen --------------------------------------------------------------------------------------

    @rule(names=st.lists(MEMBERS, min_size=1, max_size=4))
    def add(self, names: list[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in self.members]
        messages = [message(name) for name in names]
        if new and (self.cancelled or "finally" in self.fired):
            with pytest.raises(BatchEnded):
                self.store.batches.add(self.name, messages)
            new = []
        else:
            assert self.store.batches.add(self.name, messages) == len(new)
        self.members.update(dict.fromkeys(new, "p"))
        assert self.store.queued() == new

    @rule(ends=st.lists(st.tuples(MEMBERS, st.sampled_from([DONE, DONE, FAILED, CANCELLED])), min_size=1, max_size=4))
    def end(self, ends: list[tuple[str, str]]) -> None:
        # Two ends of one member in one step are in no order.
        chosen = dict(ends)
        before = dict(self.members)
        for name, outcome in chosen.items():
            known = self.members.get(name)
            if known == "p" or (known in (FAILED, CANCELLED) and outcome == DONE):
                self.members[name] = outcome
        self.store.count([MemberEnd(self.name, name, outcome) for name, outcome in chosen.items()])
        # What changes nothing makes nothing due.
        assert self.store.queued() == (self.due() if self.members != before else [])

    @rule()
    def close(self) -> None:
        self.store.batches.close(self.name)
        self.closed = True
        assert self.store.queued() == self.due()

    @rule()
    def cancel(self) -> None:
        may = not self.cancelled and "finally" not in self.fired
        assert self.store.batches.cancel(self.name) == may
        if may:
            self.closed = self.cancelled = True
        assert self.store.queued() == (self.due() if may else [])

    @rule()
    def repair(self) -> None:
        self.store.batches.repair(self.name)
        assert self.store.queued() == self.due()

    @rule()
    def open_again(self) -> None:
        assert not self.store.batches.open(Plan(id=self.name, name="y", allowed=ANY))

    @invariant()
    def agrees(self) -> None:
        found = self.store.batches.read(self.name)
        assert found is not None
        counts = (found.total, found.done, found.failed, found.gone, found.pending)
        wanted = (len(self.members), *(self.states(state) for state in (DONE, FAILED, CANCELLED, "p")))
        assert counts == wanted
        assert (found.closed, found.cancelled, found.name) == (self.closed, self.cancelled, "x")
        assert sorted(found.fired) == sorted(self.fired)
        pending = sorted(name for page in self.store.batches.pending(self.name) for name, _ in page)
        assert pending == sorted(name for name, state in self.members.items() if state == "p")


class CheckpointModel(RuleBasedStateMachine):
    """Whatever happened before, the latest execution that has asked has a job's cursors."""

    store: Store

    @initialize()
    def begin(self) -> None:
        self.job = new_id()
        self.fence = 0
        self.cursors: dict[str, str] = {}

    @rule(fence=st.integers(1, 5))
    def take(self, fence: int) -> None:
        found = self.store.checkpoints.take(self.job, fence)
        if fence < self.fence:
            assert found is None
        else:
            self.fence = fence
            assert found == self.cursors

    @rule(fence=st.integers(1, 5), name=st.sampled_from(["rows", "x y"]), cursor=st.integers().map(str))
    def save(self, fence: int, name: str, cursor: str) -> None:
        assert self.store.checkpoints.save(self.job, fence, name, cursor) == (fence == self.fence)
        if fence == self.fence:
            self.cursors[name] = cursor

    @rule()
    def drop(self) -> None:
        self.store.checkpoints.drop(self.job)
        self.fence, self.cursors = 0, {}


@pytest.mark.parametrize("model", [BatchModel, CheckpointModel])
@pytest.mark.parametrize("store", ["sqlite", "redis", "postgresql"])
def test_store_and_model_agree(
    store: str, model: type[RuleBasedStateMachine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fixtures = {"redis": "redis_url", "postgresql": "postgres_state_url"}
    url = request.getfixturevalue(fixtures[store]) if store in fixtures else f"sqlite:///{tmp_path}/jobs.db"
    opened = Store(url)
    bound = type(model.__name__, (model,), {"store": opened})
    how = settings(
        max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    try:
        run_state_machine_as_test(bound, settings=how)
    finally:
        opened.close()
