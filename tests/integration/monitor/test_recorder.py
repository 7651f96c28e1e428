"""The recorder moves each event into the history once, whatever happens to it, to the store and to the history."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.integration.monitor.events import failure
from tests.integration.monitor.tally import tally_is_right
from tests.postgres import PostgresServer
from umbel.engine.burial import letter_of
from umbel.engine.redis import RedisEngine
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Engine, Outgoing, Record, Settled
from umbel.errors import ConfigurationError, StoreError, UmbelError
from umbel.monitor import recorder as recorder_module
from umbel.monitor import retention
from umbel.monitor.courtesy import Courtesy
from umbel.monitor.history import History
from umbel.monitor.job_filter import JobFilter
from umbel.monitor.recorder import Recorder
from umbel.monitor.retention import Limit, Retention
from umbel.monitor.tables import FAILURES
from umbel.state.events import Ended
from umbel.states import JobState
from umbel.testing.contract._suite import payload

QUEUE = "default"


@pytest.fixture(params=["sqlite", "redis"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made: Engine
    if request.param == "sqlite":
        made = SQLiteEngine(tmp_path / "jobs.db")
    else:
        made = RedisEngine(request.getfixturevalue("redis_url"), run=tmp_path)
    made.open_lease("here@test", [QUEUE], 10)
    made.events.introduce("here@test", "r1")
    yield made
    made.close()


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = History(f"sqlite:///{tmp_path / 'history.db'}")
    yield opened
    opened.close()


def record(recorder: Recorder) -> None:
    """Record until there is nothing more."""
    while recorder.step():
        pass


def put(engine: Engine, *ids: str) -> None:
    engine.enqueue([Outgoing(QUEUE, payload(one), one) for one in ids])


def run(engine: Engine, state: str = "SUCCESS") -> None:
    """Let everything that waits run, and end in ``state``."""
    for one in engine.fetch({QUEUE: 0}, 1000):
        assert one.task_id is not None
        document = failure(one.task_id) if state == "FAILURE" else f'{{"status": "{state}", "result": 1}}'
        told = Ended(one.task_id, QUEUE, 0, state, one.enqueued, time.time(), time.time(), document)
        engine.settle([Settled(one.seq, "ack", records=[Record(one.task_id, state, True, document)], told=told)])


def states(history: History) -> dict[str, str]:
    return {job.id: job.state.value for job in history.jobs.find(limit=500).jobs}


def attempts(history: History) -> list[int]:
    return [job.attempts for job in history.jobs.find(limit=500).jobs]


def test_c23_what_happens_is_recorded_and_dropped_from_the_log(engine: Engine, history: History) -> None:
    recorder = Recorder(engine, history)
    put(engine, "before")
    record(recorder)
    assert states(history) == {}, "nobody recorded then"
    put(engine, "a", "b")
    record(recorder)
    assert states(history) == {"a": "queued", "b": "queued"}
    run(engine)
    record(recorder)
    assert states(history) == {"a": "succeeded", "b": "succeeded", "before": "succeeded"}
    assert engine.events.size() == 0


@pytest.mark.parametrize("when", ["written", "dropped"])
def test_c14_a_recorder_that_dies_anywhere_tells_nothing_twice_and_loses_nothing(
    engine: Engine, history: History, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.events.expect()
    put(engine, "a", "b", "c")
    run(engine)
    first = Recorder(engine, history)
    log = type(engine.events)
    dropped = log.drop

    def die(self: Any, last: str) -> None:
        if when == "dropped":
            dropped(self, last)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log, "drop", die)
        with pytest.raises(KeyboardInterrupt):
            record(first)
    first.resign()
    second = Recorder(engine, history)
    put(engine, "d")
    record(second)
    assert states(history) == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "d": "queued"}
    assert sorted(attempts(history)) == [0, 1, 1, 1]
    assert engine.events.size() == 0


# On SQLite it is the kernel's lock on a file that decides, which a process has only once.
@pytest.mark.parametrize("engine", ["redis"], indirect=True)
def test_c14_of_two_recorders_one_records_and_the_other_takes_over(
    engine: Engine, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_WORD_SECONDS", 0.0)
    first, second = Recorder(engine, history), Recorder(engine, history)
    record(first)
    put(engine, "a")
    assert not second.step()
    assert states(history) == {}
    record(first)
    first.resign()
    put(engine, "b")
    record(second)
    assert states(history) == {"a": "queued", "b": "queued"}


def test_c23_a_recorder_that_was_taken_for_dead_writes_nothing_twice(
    engine: Engine, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on believing that it leads; the cursor in the history knows better."""
    first, second = Recorder(engine, history), Recorder(engine, history)
    record(first)
    monkeypatch.setattr(second, "_lead", lambda: True)
    monkeypatch.setattr(recorder_module, "_WORD_SECONDS", 1e9)
    put(engine, "a")
    run(engine)
    record(first)
    put(engine, "b")
    run(engine)
    second._cursor = None
    second.step()
    record(first)
    assert states(history) == {"a": "succeeded", "b": "succeeded"}
    assert attempts(history) == [1, 1]


def test_c14_while_the_history_is_away_events_wait_in_the_log(
    engine: Engine, postgres: PostgresServer, new_database: Callable[[str], str]
) -> None:
    history = History(new_database("postgresql"))
    recorder = Recorder(engine, history)
    record(recorder)
    put(engine, *(f"a{number}" for number in range(50)))
    postgres.stop()
    try:
        with pytest.raises(StoreError):
            record(recorder)
        run(engine)
    finally:
        postgres.start()
    stop = threading.Event()
    thread = threading.Thread(target=recorder.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 60
    while engine.events.size() and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    thread.join()
    found = history.jobs.find(JobFilter(states=frozenset({JobState.SUCCEEDED})), limit=500)
    assert len(found.jobs) == 50
    history.close()


def test_c35_a_failure_is_recorded_with_its_message(engine: Engine, history: History) -> None:
    recorder = Recorder(engine, history)
    record(recorder)
    put(engine, "a")
    (one,) = engine.fetch({QUEUE: 0}, 10)
    document = (
        '{"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"}, '
        '"traceback": "Traceback: here"}'
    )
    told = Ended("a", QUEUE, 0, "FAILURE", one.enqueued, time.time(), time.time(), document)
    engine.settle([Settled(one.seq, "ack", letter_of(one, "why", error=ValueError("no")), told=told)])
    record(recorder)
    found = history.jobs.job("a")
    assert (found.job.state, found.job.error_type, found.job.error_message) == (JobState.FAILED, "ValueError", "no")
    assert found.has_message
    assert [attempt.traceback for attempt in found.attempts] == ["Traceback: here"]
    assert history.failures.find()[0].jobs == 1


def test_who_begins_to_record_counts_the_failures_anew(engine: Engine, history: History) -> None:
    """While a deployment lasts an older recorder may go on, which does not count them."""
    put(engine, "a", "b")
    first = Recorder(engine, history)
    record(first)
    run(engine, "FAILURE")
    record(first)
    assert tally_is_right(history)
    history.database.write(lambda one: one.execute(update(FAILURES).values(jobs=7)))
    first.resign()
    record(Recorder(engine, history))
    assert tally_is_right(history)


def test_what_another_version_has_told_holds_up_nothing(
    engine: Engine, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(engine, history)
    record(recorder)
    put(engine, "a", "b")
    for one, packed in zip(engine.fetch({QUEUE: 0}, 10), (b"\x93\xa1w\xc0\x91\x01", b"what is this?"), strict=True):
        told = Ended(str(one.task_id), QUEUE, 0, "SUCCESS", one.enqueued, time.time(), time.time())
        monkeypatch.setattr(engine.events, "packed", lambda _, packed=packed: packed)
        engine.settle([Settled(one.seq, "ack", told=told)])
    monkeypatch.undo()
    put(engine, "c")
    run(engine)
    record(recorder)
    assert engine.events.size() == 0
    assert states(history) == {"a": JobState.QUEUED, "b": JobState.QUEUED, "c": JobState.SUCCEEDED}


class _Stop(threading.Event):
    """Notes how long it is waited for, and is set after so many waits."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()


@pytest.mark.parametrize(("idle", "rests"), [(0.9, True), (2.0, False)])
def test_jobs_that_want_all_cores_have_most_of_the_time(
    history: History, tmp_path: Path, idle: float, rests: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SQLiteEngine(tmp_path / "jobs.db")
    recorder = Recorder(engine, history)
    steps = iter([True, True, True, False])
    monkeypatch.setattr(recorder, "step", lambda: next(steps, False))
    stop = _Stop(4)
    recorder.run(stop, Courtesy(lambda: idle))
    assert stop.waits[-1] == recorder_module._IDLE_SECONDS
    assert all((waited > 0) is rests and waited < recorder_module._IDLE_SECONDS for waited in stop.waits[:-1])
    engine.close()


def test_a_long_log_in_memory_is_made_short_before_anybody_is_spared(
    engine: Engine, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_MEMORY_MOST", 4)
    monkeypatch.setattr(recorder_module, "_WORD_SECONDS", 0.0)
    recorder = Recorder(engine, history)
    record(recorder)
    put(engine, *"abcde")
    assert recorder._is_pressing() is engine.events.in_memory
    record(recorder)
    assert not recorder._is_pressing()


def test_what_is_too_much_is_dropped_between_recording(
    engine: Engine, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_AT_A_TIME", 4)
    monkeypatch.setattr(recorder_module, "_PRUNE_SECONDS", -1.0)
    monkeypatch.setattr(recorder_module, "_PRUNE_AT_ONCE", -1.0)
    recorder = Recorder(engine, history, Retention(jobs={JobState.QUEUED: Limit(most=2)}))
    record(recorder)
    assert not recorder._prune()
    put(engine, *(f"a{number}" for number in range(10)))
    record(recorder)
    left = []
    while recorder._prune():
        left.append(len(states(history)))
    assert left == [6, 2, 2]
    assert recorder._pruning is None


def test_few_entries_are_read_at_a_time_when_they_hold_many_events(
    engine: Engine, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_FEW", 5)
    monkeypatch.setattr(recorder_module, "_MANY", 10)
    recorder = Recorder(engine, history)
    record(recorder)
    put(engine, *(f"a{number}" for number in range(90)))
    record(recorder)
    assert recorder._limit < 100
    assert len(states(history)) == 90
    fewest = recorder._limit
    put(engine, "b")
    record(recorder)
    assert recorder._limit > fewest


def test_a_file_of_one_host_is_no_history_of_several(redis_url: str, tmp_path: Path, history: History) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    here = RedisEngine(redis_url, run=tmp_path / "one")
    there = RedisEngine(redis_url, run=tmp_path / "two")
    there.open_lease("there@test", [QUEUE], 10)
    try:
        with pytest.raises(ConfigurationError, match="UMBEL_HISTORY_URL"):
            Recorder(here, history).step()
        there.close_lease()
        Recorder(here, history).step()
    finally:
        here.close()
        there.close()


def test_a_hole_in_the_history_is_said(
    engine: Engine, history: History, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(engine, history)
    record(recorder)
    monkeypatch.setattr(engine.events, "lost", lambda: 7)
    monkeypatch.setattr(recorder, "_expected", float("-inf"))
    recorder.step()
    assert "7 of its entries" in caplog.text


def test_what_the_last_jobs_told_is_written_at_its_end(engine: Engine, history: History) -> None:
    recorder = Recorder(engine, history)
    record(recorder)
    put(engine, "a", "b")
    stop = threading.Event()
    stop.set()
    recorder.run(stop)
    assert states(history) == {"a": "queued", "b": "queued"}
    assert engine.events.size() == 0


def test_what_cannot_be_written_is_left_out_and_the_rest_is_not(
    engine: Engine, history: History, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(engine, history)
    record(recorder)
    put(engine, "a", "poison", "b")
    write = history.write

    def refuse(store: str, logged: Any, *, after: str | None) -> None:
        if any(getattr(one, "task_id", None) == "poison" for one in logged.events):
            raise ValueError("no")
        write(store, logged, after=after)

    monkeypatch.setattr(history, "write", refuse)
    record(recorder)
    assert states(history) == {"a": "queued", "b": "queued"}
    assert "left out of the history" in caplog.text
    assert engine.events.size() == 0


def test_it_goes_on_after_an_error(engine: Engine, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(engine, history)
    stop, failed = threading.Event(), threading.Event()
    read = engine.events.read

    def fail(*args: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise _Away("the store is away")
        return read(*args)

    monkeypatch.setattr(engine.events, "read", fail)
    engine.events.expect()
    put(engine, "a")
    thread = threading.Thread(target=recorder.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 60
    while not states(history) and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    thread.join()
    assert states(history) == {"a": "queued"}


class _Away(UmbelError):
    pass
