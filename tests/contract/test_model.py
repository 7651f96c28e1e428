"""The embedded engine against a plain model of itself, in any order of operations that hypothesis can think of."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from umbel.engine.burial import letter_of, replay_of
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Delivery, Outgoing, Record, Settled

QUEUES = ("high", "default", "low")
IDS = st.sampled_from([f"job-{number}" for number in range(12)])
LATER = 4_000_000_000.0


@dataclass(eq=False)
class Message:
    """What the model knows of a message."""

    order: int
    queue: str
    task_id: str
    priority: int
    delayed: bool
    held: Delivery | None = None
    deliveries: int = 0
    born: int = 0


class Model(RuleBasedStateMachine):
    """C8, C9, C15, C18, C22, C35: whatever happened before, the store and the model agree."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="umbel-model-"))
        self.engine = SQLiteEngine(self.folder / "jobs.db")
        self.messages: list[Message] = []
        self.ends: dict[str, tuple[str, int]] = {}
        self.cancelled: set[str] = set()
        self.stale: list[Delivery] = []
        self.letters: list[str] = []
        self.count = 0
        self.clock = 0

    def teardown(self) -> None:
        self.engine.close()
        shutil.rmtree(self.folder)

    @initialize()
    def hold(self) -> None:
        self.engine.open_lease("here@test", QUEUES, 10)

    # -- words of the model -----------------------------------------------------------------------------------

    def tick(self) -> int:
        """Let time pass for the model and for the store, which tells earlier from later by its clock."""
        before = time.time()
        while time.time() == before:
            pass
        self.clock += 1
        return self.clock

    def ready(self, queue: str) -> list[Message]:
        found = [one for one in self.messages if one.queue == queue and not one.held and not one.delayed]
        return sorted(found, key=lambda one: (-one.priority, one.order))

    def held(self) -> list[Message]:
        return [one for one in self.messages if one.held]

    def known(self, task_id: str) -> bool:
        return task_id in self.ends or any(one.task_id == task_id for one in self.messages)

    def end(self, task_id: str, state: str, born: int) -> None:
        """Note an end, unless there is one that came after this message was queued."""
        known = self.ends.get(task_id)
        if known is None or born > known[1]:
            self.ends[task_id] = (state, self.clock)

    def add(self, queue: str, task_id: str, priority: int, delayed: bool) -> None:
        self.messages.append(Message(self.count, queue, task_id, priority, delayed, born=self.clock))
        self.count += 1

    # -- what may happen --------------------------------------------------------------------------------------

    @rule(
        queue=st.sampled_from(QUEUES),
        batch=st.lists(st.tuples(IDS, st.integers(0, 9), st.booleans(), st.booleans()), min_size=1, max_size=5),
    )
    def enqueue(self, queue: str, batch: list[tuple[str, int, bool, bool]]) -> None:
        self.tick()
        outgoing, new = [], 0
        # The plain ones of a batch are stored first.
        for task_id, priority, delayed, once in sorted(batch, key=lambda one: one[3]):
            due = LATER if delayed else None
            outgoing.append(Outgoing(queue, payload(task_id), task_id, priority, due, once))
            if not (once and self.known(task_id)):
                self.add(queue, task_id, priority, delayed)
                new += 1
        assert self.engine.enqueue(outgoing) == new

    @rule(order=st.permutations(QUEUES), many=st.integers(1, 8))
    def fetch(self, order: list[str], many: int) -> None:
        expected: list[Message] = []
        for queue in order:
            expected += self.ready(queue)[: many - len(expected)]
        found = self.engine.fetch(dict.fromkeys(order, 0), many)
        assert [(one.queue, one.task_id) for one in found] == [(one.queue, one.task_id) for one in expected]
        for message, delivery in zip(expected, found, strict=True):
            message.deliveries += 1
            message.held = delivery
            assert delivery.deliveries == message.deliveries
            assert delivery.cancelled == (message.task_id in self.cancelled)
            assert not delivery.suspect
            assert delivery.verdict is None

    @precondition(lambda self: self.held())
    @rule(data=st.data(), action=st.sampled_from(["ack", "requeue", "dead", "keep"]), follow=st.booleans())
    def settle(self, data: Any, action: str, follow: bool) -> None:
        message = data.draw(st.sampled_from(self.held()))
        delivery = message.held
        assert delivery is not None
        self.tick()
        state = {"ack": "SUCCESS", "dead": "FAILURE"}.get(action)
        dies = action == "dead"
        letter = letter_of(delivery, "why") if dies else None
        entry = Settled(delivery.seq, "ack" if dies else action, letter)
        if state:
            entry.records = [Record(message.task_id, state, True, json.dumps(state), since=delivery.enqueued)]
            self.end(message.task_id, state, message.born)
        if follow:
            entry.outgoing = [Outgoing("low", payload("next"), f"next-{self.count}", 5)]
            # Nothing follows a job that was cancelled.
            if message.task_id not in self.cancelled:
                self.add("low", f"next-{self.count}", 5, False)
        assert self.engine.settle([entry]).refused == ()
        if action == "keep":
            return
        message.held = None
        self.stale.append(delivery)
        if dies and message.task_id not in self.cancelled:
            # One a job, the newest death last.
            self.letters = [*(one for one in self.letters if one != message.task_id), message.task_id]
        if action != "requeue":
            self.messages.remove(message)

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), action=st.sampled_from(["ack", "requeue", "keep", "crash"]))
    def settle_late(self, data: Any, action: str) -> None:
        delivery = data.draw(st.sampled_from(self.stale))
        if any(one.held and one.held.seq == delivery.seq for one in self.messages):
            return
        record = Record(str(delivery.task_id), "LATE", True, "{}", since=delivery.enqueued)
        outgoing = [Outgoing("high", payload("late"), "late", 9)]
        entry = Settled(delivery.seq, action, letter_of(delivery, "late"), records=[record], outgoing=outgoing)
        assert self.engine.settle([entry]).refused == (entry,)

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), drop=st.booleans())
    def replay_or_drop(self, data: Any, drop: bool) -> None:
        task_id = data.draw(st.sampled_from(self.letters))
        (letter,) = self.engine.letters.read([task_id])
        self.tick()
        if drop:
            assert self.engine.letters.drop([letter.id]) == 1
            self.letters.remove(task_id)
        elif letter.replaying:
            assert self.engine.letters.replay([replay_of(letter, 0)]) == []
        else:
            assert self.engine.letters.replay([replay_of(letter, 0)]) == [letter.id]
            self.add(letter.queue, task_id, 0, False)

    @rule(task_id=IDS)
    def cancel(self, task_id: str) -> None:
        self.tick()
        mine = [one for one in self.messages if one.task_id == task_id]
        known = self.ends.get(task_id)
        refused = known is not None and not (mine and mine[-1].born > known[1])
        since = 0.0
        where = self.engine.locate(task_id)
        if where is not None:
            since = where.enqueued
        record = Record(task_id, "REVOKED", True, "{}", since=since)
        assert self.engine.cancel(task_id, record) is not refused
        if refused:
            return
        self.cancelled.add(task_id)
        self.end(task_id, "REVOKED", mine[-1].born if mine else 0)
        for message in mine:
            message.delayed = False

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: str) -> None:
        gone = [one for one in self.messages if one.queue == queue and not one.held]
        assert self.engine.purge(queue) == len(gone)
        self.messages = [one for one in self.messages if one not in gone]

    @rule()
    def restart(self) -> None:
        """The process ends in an orderly way and starts again."""
        self.stale += [one.held for one in self.held() if one.held]
        for message in self.held():
            message.held = None
        self.engine.close()
        self.hold()

    @rule()
    def sweep(self) -> None:
        self.engine.sweep()
        self.engine.reap()

    # -- what always holds ------------------------------------------------------------------------------------

    @invariant()
    def counts_agree(self) -> None:
        found = {one.name: (one.ready, one.delayed, one.leased, one.suspect) for one in self.engine.queues()}
        for queue in QUEUES:
            mine = [one for one in self.messages if one.queue == queue]
            delayed = sum(one.delayed and not one.held for one in mine)
            leased = sum(one.held is not None for one in mine)
            assert found.get(queue, (0, 0, 0, 0)) == (len(self.ready(queue)), delayed, leased, 0)

    @invariant()
    def states_agree(self) -> None:
        names = {*self.ends, *(f"job-{number}" for number in range(12))}
        found = {one.task_id: one.state for one in self.engine.read(sorted(names))}
        assert found == {task_id: state for task_id, (state, _) in self.ends.items()}

    @invariant()
    def places_agree(self) -> None:
        for queue in QUEUES:
            for position, message in enumerate(self.ready(queue)):
                newest = max((one for one in self.messages if one.task_id == message.task_id), key=lambda o: o.order)
                where = self.engine.locate(message.task_id)
                assert where is not None
                if newest is message:
                    assert (where.queue, where.priority, where.position) == (queue, message.priority, position)

    @invariant()
    def letters_agree(self) -> None:
        assert [letter.task_id for letter in self.engine.dead(1000)] == self.letters[::-1]


def payload(task_id: str) -> str:
    """Return an envelope of a job."""
    return json.dumps({"headers": {"id": task_id, "task": "shop.greet"}, "properties": {}, "body": "[]"})


Model.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestModel = Model.TestCase
