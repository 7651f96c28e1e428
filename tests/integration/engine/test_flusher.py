"""The thread that settles: together, in order of promises, and never twice (C18)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from umbel.engine import flusher as module
from umbel.engine import outage
from umbel.engine.flusher import Flusher
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import ChordPart, Outgoing, Record, Settled, Settlement
from umbel.errors import StoreError, StoreFull

DEADLINE = 30.0


class Gate:
    """An engine whose ``settle`` can be made to wait or to fail."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.inside = threading.Event()
        self.events = SimpleNamespace(known=False)
        self.batches: list[list[Settled]] = []
        self.errors: list[Exception] = []
        self.judge: Callable[[Sequence[Settled]], Settlement] = lambda entries: Settlement()

    def settle(self, entries: Sequence[Settled]) -> Settlement:
        self.inside.set()
        assert self.open.wait(DEADLINE)
        if self.errors:
            raise self.errors.pop(0)
        outcome = self.judge(entries)
        self.batches.append(list(entries))
        return outcome

    @property
    def written(self) -> list[Settled]:
        return [entry for batch in self.batches for entry in batch]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def flusher(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flusher]:
    monkeypatch.setattr(outage, "_PAUSES", (0.001,))
    flusher = Flusher(gate)  # type: ignore[arg-type]
    yield flusher
    gate.open.set()
    flusher.stop()


def record(task_id: str, state: str = "SUCCESS") -> Record:
    return Record(task_id, state, state == "SUCCESS", "{}")


def test_what_ends_while_a_batch_is_written_goes_into_the_next(flusher: Flusher, gate: Gate) -> None:
    gate.open.clear()
    entries = [Settled(number, "ack") for number in range(50)]
    flusher.submit(entries[0])
    assert gate.inside.wait(DEADLINE)
    for entry in entries[1:]:
        flusher.submit(entry)
    gate.open.set()
    assert flusher.drain(DEADLINE)
    assert gate.written == entries
    assert len(gate.batches) == 2


def test_c18_a_failed_write_is_written_again_until_it_succeeds(flusher: Flusher, gate: Gate) -> None:
    """The disk was full three times; nothing is run again, nothing is dropped, nothing is reordered."""
    gate.errors = [StoreFull("/x"), StoreError("/x", "locked"), StoreFull("/x")]
    first, second = Settled(1, "ack"), Settled(2, "ack")
    flusher.submit(first)
    flusher.submit(second)
    assert flusher.drain(DEADLINE)
    assert gate.written == [first, second]
    assert gate.errors == []


def test_c18_an_entry_that_cannot_be_stored_takes_no_other_with_it(flusher: Flusher, gate: Gate) -> None:
    poison = Settled(2, "ack")

    def judge(entries: Sequence[Settled]) -> Settlement:
        if any(entry is poison for entry in entries):
            raise TypeError("cannot be stored")
        return Settlement()

    gate.judge = judge
    gate.open.clear()
    flusher.submit(Settled(0, "ack"))
    assert gate.inside.wait(DEADLINE)
    for entry in (Settled(1, "ack"), poison, Settled(3, "ack")):
        flusher.submit(entry)
    gate.open.set()
    assert flusher.drain(DEADLINE)
    assert [entry.seq for entry in gate.written] == [0, 1, 3]


def test_an_end_makes_its_passing_states_needless(flusher: Flusher, gate: Gate) -> None:
    gate.open.clear()
    flusher.submit(Settled(1, "ack"))
    assert gate.inside.wait(DEADLINE)
    flusher.note(2, "a", lambda: record("a", "STARTED"))
    flusher.submit(Settled(2, "ack", records=[record("a")]))
    gate.open.set()
    assert flusher.drain(DEADLINE)
    flusher.stop()
    assert [one.state for entry in gate.written for one in entry.records] == ["SUCCESS"]


def test_only_the_latest_passing_state_counts(flusher: Flusher, gate: Gate) -> None:
    gate.open.clear()
    flusher.submit(Settled(1, "ack"))
    assert gate.inside.wait(DEADLINE)
    made: list[str] = []

    def make(state: str) -> Callable[[], Record]:
        return lambda: made.append(state) or record("a", state)  # type: ignore[func-returns-value]

    for state in ("STARTED", "PROGRESS", "CROPPING"):
        flusher.note(2, "a", make(state))
    gate.open.set()
    flusher.stop()
    states = [one.state for entry in gate.written for one in entry.records]
    assert states in (["CROPPING"], [])
    assert made == states


def test_a_passing_state_that_rings_nobody_is_written_when_somebody_reminds_of_it(
    flusher: Flusher, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NOTE_SECONDS", 0.0)
    flusher.note(1, "a", lambda: record("a", "STARTED"), ring=False)
    assert flusher._thread is None, "nobody is woken for it"
    flusher.remind()
    assert gate.inside.wait(DEADLINE)
    assert flusher.drain(DEADLINE)
    assert [entry.records[0].state for entry in gate.written] == ["STARTED"]
    flusher.submit(Settled(1, records=[record("a")]))
    assert flusher.drain(DEADLINE)
    flusher.remind()
    assert len(gate.written) == 2


def test_a_passing_state_that_cannot_be_encoded_harms_nobody(flusher: Flusher, gate: Gate) -> None:
    def broken() -> Record:
        raise ValueError("not encodable")

    flusher.note(1, "a", broken)
    flusher.note(2, "b", lambda: record("b", "STARTED"))
    while not gate.written:
        assert gate.inside.wait(DEADLINE)
    assert [one.task_id for entry in gate.written for one in entry.records] == ["b"]


def test_c18_chords_settle_in_two_steps(flusher: Flusher, gate: Gate) -> None:
    """First result and part, with the message kept; then callback and acknowledgement together."""
    part = ChordPart("g", "a", 0, "1", 1)
    callback = Settled(outgoing=[Outgoing("default", "{}", "callback")], fired="g")
    gate.judge = lambda entries: Settlement(complete=tuple(part for entry in entries for part in entry.parts))
    flusher.on_chord = lambda complete: callback
    flusher.submit(Settled(1, "ack", records=[record("a")], outgoing=[Outgoing("default", "{}", "link")], parts=[part]))
    assert flusher.drain(DEADLINE)
    first, second = gate.batches
    assert [
        (entry.seq, entry.action, len(entry.records), len(entry.parts), len(entry.outgoing)) for entry in first
    ] == [(1, "keep", 1, 1, 0)]
    assert second[0] is callback
    assert [(entry.seq, entry.action, [message.task_id for message in entry.outgoing]) for entry in second[1:]] == [
        (1, "ack", ["link"])
    ]


def test_c15_a_chord_member_that_was_refused_sends_nothing(flusher: Flusher, gate: Gate) -> None:
    part = ChordPart("g", "a", 0, "1", 1)
    gate.judge = lambda entries: Settlement(refused=tuple(entry for entry in entries if entry.seq == 1))
    flusher.submit(Settled(1, "ack", outgoing=[Outgoing("default", "{}", "link")], parts=[part]))
    assert flusher.drain(DEADLINE)
    assert [message for entry in gate.written for message in entry.outgoing] == []


def test_c15_only_an_end_that_was_never_written_is_told_to_be_refused(
    flusher: Flusher, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.judge = lambda entries: Settlement(refused=tuple(entries))
    gate.errors = [StoreError("here", "the answer was lost")]
    flusher.submit(Settled(1, "ack"))
    assert flusher.drain(DEADLINE)
    assert "no longer held" not in caplog.text
    flusher.submit(Settled(2, "ack"))
    assert flusher.drain(DEADLINE)
    assert "(2) is no longer held" in caplog.text


def test_c18_a_chord_survives_a_kill_between_its_steps(engine: SQLiteEngine, peer: Callable[..., Any]) -> None:
    """The last member's first step is written and its process is killed: it runs again, the callback goes out once."""
    engine.enqueue([Outgoing("default", "{}", "a"), Outgoing("default", "{}", "b")])
    engine.open_lease("here@test", ["default"], 1)
    (a,) = engine.fetch({"default": 0}, 1)
    engine.settle([Settled(a.seq, "ack", records=[record("a")], parts=[ChordPart("g", "a", 0, "1", 2)])])
    other = peer("default")
    (b,) = other.call("fetch", {"default": 0}, 1)
    part = ChordPart("g", "b", 1, "2", 2)
    outcome = other.call("settle", [Settled(b.seq, "keep", records=[record("b")], parts=[part])])
    assert len(outcome.complete) == 1
    other.kill()
    assert engine.reap() == 1
    flusher = Flusher(engine)
    flusher.on_chord = lambda complete: Settled(outgoing=[Outgoing("default", "{}", "callback")], fired="g")
    (again,) = engine.fetch({"default": 0}, 10)
    flusher.submit(Settled(again.seq, "ack", records=[record("b")], parts=[part]))
    assert flusher.drain(DEADLINE)
    flusher.stop()
    assert [delivery.task_id for delivery in engine.fetch({"default": 0}, 10)] == ["callback"]
    assert engine.locate("b") is None


def test_stopping_writes_what_is_there(flusher: Flusher, gate: Gate) -> None:
    gate.open.clear()
    for number in range(2500):
        flusher.submit(Settled(number, "ack"))
    threading.Timer(0.05, gate.open.set).start()
    flusher.stop(DEADLINE)
    assert [entry.seq for entry in gate.written] == list(range(2500))
    assert max(map(len, gate.batches)) <= 1000


class SlowToAppend(deque[Settled]):
    """The thread that settles looks once more before an entry is there."""

    def __init__(self, flusher: Flusher) -> None:
        super().__init__()
        self._flusher = flusher

    def append(self, entry: Settled) -> None:
        self._flusher._wake.set()
        assert self._flusher._idle.wait(DEADLINE)
        super().append(entry)


def test_c17_what_is_submitted_as_the_thread_finds_nothing_is_waited_for(flusher: Flusher, gate: Gate) -> None:
    """A suspect begins when all else is written; what is not yet would run again after its crash."""
    flusher.submit(Settled(1, "ack"))
    assert flusher.drain(DEADLINE)
    gate.open.clear()
    flusher._entries = SlowToAppend(flusher)
    flusher.submit(Settled(2, "ack"))
    assert not flusher.drain(0.05)
    gate.open.set()
    assert flusher.drain(DEADLINE)
    assert [entry.seq for entry in gate.written] == [1, 2]


class Overtaken(Flusher):
    """Somebody is in a hurry just when the thread has seen that nobody is."""

    meanwhile: Callable[[], None] | None = None
    _said = False

    @property
    def _hurried(self) -> bool:
        said, meanwhile = self._said, self.meanwhile
        if not said and meanwhile is not None:
            self.meanwhile = None
            meanwhile()
        return said

    @_hurried.setter
    def _hurried(self, said: bool) -> None:
        self._said = said


def test_c32_what_is_to_go_back_at_once_is_never_overlooked(gate: Gate) -> None:
    freed = threading.Event()
    flusher = Overtaken(gate)  # type: ignore[arg-type]
    flusher.holdings.claims = SimpleNamespace(give_back=lambda held: freed.set())

    def meanwhile() -> None:
        flusher.holdings.leave("a slot")
        flusher.hurry()

    flusher.meanwhile = meanwhile
    flusher._ring()
    try:
        assert freed.wait(DEADLINE)
    finally:
        flusher.stop()
