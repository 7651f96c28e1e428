"""C35, C36: an application's dead letters on real stores: groups, policies, canaries, letters of earlier versions."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from umbel.engine.burial import letter_of, replay_of, replayed_key
from umbel.engine.envelope import headers_of
from umbel.engine.letters import LetterFilter, LetterLimits
from umbel.engine.rabbit_wire import keyed
from umbel.engine.redis import RedisEngine
from umbel.engine.redis_wire import pack
from umbel.engine.registry import open_state
from umbel.engine.sql import script
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Delivery, Engine, Outgoing, ReplayEnd, Settled
from umbel.errors import ConfigurationError, LetterBusy, LetterNotFound
from umbel.jobs.canary import Canary, CanaryEnd, CanaryStep, canary
from umbel.jobs.dead_letters import DeadLetters, ReplayPolicy
from umbel.testing.contract._suite import payload, until

QUEUE = "default"


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    engine: Engine
    if request.param == "sqlite":
        engine = SQLiteEngine(tmp_path / "store" / "jobs.db")
    else:
        engine = RedisEngine(request.getfixturevalue("redis_url"), run=tmp_path)
    engine.open_lease("here@test", [QUEUE], 10)
    yield engine
    engine.close()


@pytest.fixture
def letters(store: Engine) -> DeadLetters:
    return DeadLetters(lambda: store)


def die(
    engine: Engine, *names: str, error: Exception | None = None, release: str | None = None, **headers: Any
) -> None:
    """Let jobs fail for good that nobody holds."""
    for name in names:
        delivery = Delivery(1, QUEUE, payload(name, **headers), 1, task_id=name)
        letter = letter_of(delivery, None if error else "why", error=error, release=release)
        engine.settle([Settled(letter=letter)])


class Worker:
    """Runs the replays of a test: ``verdict`` tells of a job whether it succeeds."""

    def __init__(self, engine: Engine, verdict: Callable[[str], bool]) -> None:
        self._engine, self._verdict = engine, verdict
        self.ran: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            for delivery in self._engine.fetch({QUEUE: 0}, 10):
                key = replayed_key(headers_of(delivery.payload))
                self.ran.append(key)
                failed = letter_of(delivery, error=ValueError("again"))
                end = ReplayEnd(key) if self._verdict(key) else failed
                self._engine.settle([Settled(delivery.seq, "ack", end)])
            time.sleep(0.002)


@pytest.mark.parametrize("store", ["redis"], indirect=True)
def test_c36_a_letter_that_dies_again_while_it_is_read_is_not_missed(
    store: Engine, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has another number by then; a canary took it for one that had succeeded."""
    die(store, "a", "b")
    before = letters.current(["a"])["a"].id
    heads, deaths = store.letters._heads, iter(["a"])  # type: ignore[attr-defined]

    def late(numbers: Sequence[bytes]) -> list[Any]:
        die(store, *deaths)
        found: list[Any] = heads(numbers)
        return found

    monkeypatch.setattr(store.letters, "_heads", late)
    found = letters.current(["a", "b", "c"])
    assert set(found) == {"a", "b"}
    assert found["a"].id > before


def test_c35_letters_of_an_earlier_version_in_postgresql_are_taken_over(postgres_state_url: str) -> None:
    """Once, by whoever opens the database first; of several that a job has the newest is known by its id."""
    first = open_state(postgres_state_url)
    first.check()
    first.close()
    with psycopg.connect(postgres_state_url.replace("+psycopg", ""), autocommit=True) as connection:
        for task_id, died in (("a", 1.0), ("b", 2.0), ("a", 3.0), (None, 4.0), ("", 5.0)):
            row = (task_id, "shop.greet", QUEUE, f"died at {died:g}", 2, died, payload(str(task_id)))
            connection.execute(
                "INSERT INTO umbel.dead (task_id, task, queue, reason, deliveries, died, payload)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                row,
            )
        connection.execute("COMMENT ON SCHEMA umbel IS 'umbel of an earlier version'")
    states = [open_state(postgres_state_url) for _ in range(2)]
    for state in states:
        found = [(one.key, one.task_id, one.died) for one in state.letters.find()]
        assert [died for _, _, died in found] == [5.0, 4.0, 3.0, 2.0, 1.0]
        assert [key for key, _, died in found if died in (2.0, 3.0)] == ["a", "b"]
        assert all(key.startswith("letter-") for key, _, died in found if died not in (2.0, 3.0))
        assert len({key for key, _, _ in found}) == 5
    (letter,) = states[0].letters.read(["a"])
    assert (letter.reason, letter.replays, letter.deliveries, letter.failures) == ("died at 3", 0, 2, "[]")
    known = replace(replay_of(letter, 0), message=keyed(replay_of(letter, 0).message)[0].message)
    assert [number for number, _ in states[1].replay([known])] == [letter.id]
    for state in states:
        state.close()


# -- groups -----------------------------------------------------------------------------------------------------


def test_c36_letters_that_are_alike_are_one_group(store: Engine, letters: DeadLetters) -> None:
    die(store, *(f"a{n}" for n in range(5)), error=ValueError("x"), release="v1")
    die(store, "b0", "b1", error=ValueError("other words"), release="v2")
    die(store, "c0", error=KeyError("x"), release="v1")
    die(store, "d0", "d1", "d2")
    found = [(group.exception, group.release, group.count) for group in letters.groups()]
    assert found == [("ValueError", "v1", 5), (None, None, 3), ("ValueError", "v2", 2), ("KeyError", "v1", 1)]
    assert len(letters.groups(LetterFilter(release="v1"))) == 2
    assert all(group.oldest <= group.newest for group in letters.groups())


# -- one and many -----------------------------------------------------------------------------------------------


def test_c36_one_is_replayed_by_its_job_or_its_number(store: Engine, letters: DeadLetters) -> None:
    die(store, "a", "b")
    number = letters.show("b").id
    assert letters.replay("a").key == "a"
    assert letters.replay(number).key == "b"
    with pytest.raises(LetterBusy, match="on its way"):
        letters.replay("a")
    with pytest.raises(LetterNotFound, match="umbel dead list"):
        letters.replay("nobody")
    with pytest.raises(LetterNotFound):
        letters.replay(10**9)
    assert len(store.fetch({QUEUE: 0}, 10)) == 2


def test_c36_a_replay_whose_message_was_purged_can_be_replayed(store: Engine, letters: DeadLetters) -> None:
    die(store, "a")
    letters.replay("a")
    assert store.purge(QUEUE) == 1
    assert letters.replay("a").replays == 1
    assert letters.show("a").replays == 2


def test_c36_all_that_fit_are_replayed_but_for_those_on_their_way(store: Engine, letters: DeadLetters) -> None:
    die(store, *(f"a{n}" for n in range(250)), error=ValueError("x"))
    die(store, "b", error=KeyError("x"))
    store.settle([Settled(letter=letter_of(Delivery(1, QUEUE, "no JSON", 1), "damaged"))])
    letters.replay("a7")
    done = letters.replay_all(LetterFilter(exception="ValueError"), most=100)
    assert (done.count, done.damaged) == (100, 0)
    rest = letters.replay_all()
    assert (rest.count, rest.damaged) == (150, 1)
    assert letters.replay_all().count == 0
    assert len({one.task_id for one in store.fetch({QUEUE: 0}, 1000)}) == 251


def test_all_that_fit_are_dropped(store: Engine, letters: DeadLetters) -> None:
    die(store, *(f"a{n}" for n in range(250)), error=ValueError("x"))
    die(store, "b", error=KeyError("x"))
    assert letters.drop_all(LetterFilter(exception="ValueError")) == 250
    assert [one.key for one in letters.walk()] == ["b"]


# -- policies ---------------------------------------------------------------------------------------------------


def test_c36_a_policy_replays_the_oldest_that_are_due(store: Engine, letters: DeadLetters) -> None:
    die(store, *"abcde")
    assert letters.sweep(ReplayPolicy(older_than="1h")).count == 0
    assert list(letters.sweep(ReplayPolicy(older_than=0, a_pass=2)).numbers) == ["a", "b"]
    assert list(letters.sweep(ReplayPolicy(older_than=0, a_pass=2)).numbers) == ["c", "d"]
    for delivery in store.fetch({QUEUE: 0}, 10):
        store.settle([Settled(delivery.seq, "ack", letter_of(delivery, "again"))])
    assert letters.sweep(ReplayPolicy(older_than=0, fewer_than=1)).count == 1, "only what was never replayed"
    assert letters.sweep(ReplayPolicy(older_than=0, fewer_than=2)).count == 4
    assert letters.sweep(ReplayPolicy(older_than=0, fewer_than=9)).count == 0


def test_c36_sweepers_that_race_replay_each_letter_once(store: Engine, letters: DeadLetters) -> None:
    die(store, *(f"j{number}" for number in range(60)))
    policy = ReplayPolicy(older_than=0, a_pass=60)
    done: list[str] = []
    threads = [threading.Thread(target=lambda: done.extend(letters.sweep(policy).numbers)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(f"j{number}" for number in range(60))
    assert len(store.fetch({QUEUE: 0}, 1000)) == 60


@pytest.mark.parametrize("wrong", [{"fewer_than": 0}, {"a_pass": 0}, {"older_than": "soon"}])
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"ReplayPolicy\\({next(iter(wrong))}"):
        ReplayPolicy(**wrong)


# -- canaries ---------------------------------------------------------------------------------------------------


def test_c36_a_canary_goes_on_as_long_as_they_succeed(store: Engine, letters: DeadLetters) -> None:
    die(store, *(f"j{number}" for number in range(60)))
    told: list[CanaryStep] = []
    with Worker(store, lambda key: True) as worker:
        found = canary(letters, patience="60s", tell=told.append)
        until(lambda: not store.dead(), "all letters are closed")
    assert found.end is CanaryEnd.DONE
    assert (found.step.replayed, found.left) == (60, 0)
    assert [step.replayed for step in told] == [1, 3, 60]
    assert [step.succeeded for step in told[:2]] == [1, 3], "each step is waited for"
    assert sorted(worker.ran) == sorted(f"j{number}" for number in range(60))


def test_c36_a_canary_stops_at_the_first_when_that_fails(store: Engine, letters: DeadLetters) -> None:
    die(store, *(f"j{number}" for number in range(40)))
    with Worker(store, lambda key: False) as worker:
        found = canary(letters, patience="60s")
    assert found == Canary(CanaryEnd.FAILED, CanaryStep(1, 0, 1), 39)
    assert worker.ran == ["j39"], "the newest"
    assert len(list(letters.walk(LetterFilter(replaying=False)))) == 40


def test_c36_a_canary_stops_at_its_failure_rate(store: Engine, letters: DeadLetters) -> None:
    die(store, *(f"j{number}" for number in range(40)))
    with Worker(store, lambda key: key in ("j39", "j38")):
        found = canary(letters, steps=(1, 0.1), failure_rate=0.4, patience="60s")
    assert (found.end, found.step, found.left) == (CanaryEnd.FAILED, CanaryStep(4, 2, 2), 36)


def test_c36_a_canary_whose_jobs_do_not_end_is_undecided(store: Engine, letters: DeadLetters) -> None:
    die(store, "a", "b")
    found = canary(letters, patience=0.05)
    assert (found.end, found.step.pending, found.left) == (CanaryEnd.UNDECIDED, 1, 1)


@pytest.mark.parametrize("wrong", [{"failure_rate": 1}, {"failure_rate": -0.1}, {"steps": (0,)}, {"steps": (1.5,)}])
def test_a_canary_that_cannot_be_meant_is_refused(letters: DeadLetters, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"canary\("):
        canary(letters, **wrong)


# -- what earlier versions wrote --------------------------------------------------------------------------------


def test_c35_letters_of_an_older_file_are_brought_forward(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "jobs.db")
    for version in (1, 2, 3):
        connection.executescript(script(f"schema_{version}.sql"))
    connection.execute(f"PRAGMA application_id = {0x554D424C}")
    connection.execute("PRAGMA user_version = 3")
    rows = [("a", "one"), ("b", "two"), ("a", "three"), (None, "four")]
    for task_id, reason in rows:
        values = (task_id, "shop.greet", QUEUE, reason, 1, 1000.0, payload(task_id or "x"))
        connection.execute(
            "INSERT INTO dead_letter (task_id, task, queue, reason, deliveries, died, payload) VALUES (?,?,?,?,?,?,?)",
            values,
        )
    connection.commit()
    connection.close()
    engine = SQLiteEngine(tmp_path / "jobs.db")
    letters = DeadLetters(lambda: engine)
    assert [one.reason for one in letters.walk()] == ["four", "three", "two", "one"]
    assert letters.show("a").reason == "three"
    assert letters.replay("a").task_id == "a"
    assert len({one.key for one in letters.walk()}) == 4
    engine.close()


def test_c35_letters_of_an_older_redis_are_taken_over(redis_url: str, tmp_path: Path) -> None:
    engine = RedisEngine(redis_url, run=tmp_path)
    client = engine.store.client
    rows = [("a", "one"), ("b", "two"), ("a", "three")]
    for task_id, reason in rows:
        old = pack([client.incr("umbel:letters"), QUEUE, reason, 1, "1000.5", payload(task_id, umbel_owner="ann")])
        client.lpush("umbel:dead", old)
    die(engine, "new")
    letters = DeadLetters(lambda: engine)
    assert [one.reason for one in letters.walk()] == ["why", "three", "two", "one"]
    assert not client.exists("umbel:dead")
    assert (letters.show("a").reason, letters.show("a").owner, letters.show("a").died) == ("three", "ann", 1000.5)
    assert letters.replay("a").task_id == "a"
    assert letters.drop_all(LetterFilter()) == 4
    assert not list(client.scan_iter("umbel:dead*"))
    engine.close()


def test_c35_redis_keeps_no_more_than_its_limit_at_any_moment(redis_url: str, tmp_path: Path) -> None:
    engine = RedisEngine(redis_url, run=tmp_path, keep=LetterLimits(most=5))
    die(engine, *(f"j{number}" for number in range(20)))
    assert [one.key for one in engine.dead()] == ["j19", "j18", "j17", "j16", "j15"]
    assert json.loads(engine.dead()[0].payload)["headers"]["id"] == "j19"
    engine.close()


def test_a_dispatch_of_the_same_id_beside_a_replay_is_no_replay(store: Engine, letters: DeadLetters) -> None:
    die(store, "a")
    store.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    (delivery,) = store.fetch({QUEUE: 0}, 10)
    assert replayed_key(headers_of(delivery.payload)) == ""
    store.settle([Settled(delivery.seq, "ack")])
    assert letters.show("a").reason == "why"
