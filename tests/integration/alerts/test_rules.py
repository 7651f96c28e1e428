"""C38: what is an alert, when it begins and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from umbel.engine.burial import letter_of
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing, Settled
from umbel.errors import StoreUnreachable
from umbel.monitor.alerts import alerter as alerter_module
from umbel.monitor.alerts import symptoms
from umbel.monitor.alerts.alerter import Alerter
from umbel.monitor.alerts.plan import Thresholds
from umbel.monitor.alerts.rhythm import Rhythm
from umbel.monitor.history import History
from umbel.monitor.recorder import Recorder
from umbel.state.events import Ended
from umbel.testing.contract._suite import payload

QUEUE = "mail"
TRACE = '  File "/srv/shop/pay.py", line 3, in pay\n    raise ValueError\n'


def put(engine: SQLiteEngine, *ids: str, queue: str = QUEUE, task: str = "shop.send") -> None:
    engine.enqueue([Outgoing(queue, payload(one, task=task), one) for one in ids])


def fail(engine: SQLiteEngine, *ids: str, task: str = "shop.send", error: str = "ValueError") -> None:
    put(engine, *ids, task=task)
    for one in engine.fetch({QUEUE: 0}, 1000):
        assert one.task_id is not None
        document = (
            f'{{"status": "FAILURE", "result": {{"exc_type": "{error}", "exc_message": ["secret words"], '
            f'"exc_module": "builtins"}}, "traceback": null}}'
        )
        told = Ended(one.task_id, QUEUE, 0, "FAILURE", one.enqueued, time.time(), time.time(), document)
        letter = letter_of(one, "ValueError: secret words", error=ValueError("secret words"))
        engine.settle([Settled(one.seq, "ack", letter, told=told)])


def record(engine: SQLiteEngine, history: History) -> None:
    recorder = Recorder(engine, history)
    while recorder.step():
        pass
    recorder.resign()


def going_on(history: History) -> list[tuple[str, str]]:
    return sorted((one.rule, one.subject) for one in history.incidents.find(going_on=True).incidents)


def summaries(history: History) -> str:
    return "\n".join(one.summary for one in history.incidents.find().incidents)


def test_c38_failures_that_are_alike(engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]) -> None:
    engine.open_lease("here@test", [QUEUE], 10)
    record(engine, history)
    one = alerting(thresholds=Thresholds(failures=5, dead_letters=1000))
    fail(engine, *(f"a{number}" for number in range(4)))
    fail(engine, *(f"b{number}" for number in range(4)), error="KeyError")
    record(engine, history)
    one.look()
    assert going_on(history) == []
    fail(engine, "a5")
    record(engine, history)
    one.look()
    ((rule, _),) = going_on(history)
    assert rule == "failures"
    assert "5 jobs failed alike (ValueError), the last one of shop.send." in summaries(history)
    assert "secret" not in summaries(history)


def test_c38_dead_letters_by_task(engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]) -> None:
    engine.open_lease("here@test", [QUEUE], 10)
    one = alerting(thresholds=Thresholds(dead_letters=2, failures=1000))
    fail(engine, "a", "b", task="shop.pay")
    fail(engine, "c", task="shop.other")
    one.look()
    assert going_on(history) == [("dead-letters", "shop.pay")]
    assert "2 jobs are dead letters of shop.pay: ValueError." in summaries(history)
    assert "secret" not in summaries(history)


def test_c38_a_message_that_nobody_can_read_is_told_of(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]
) -> None:
    engine.open_lease("here@test", [QUEUE], 10)
    engine.enqueue([Outgoing(QUEUE, "no JSON", None)])
    (found,) = engine.fetch({QUEUE: 0}, 10)
    engine.settle([Settled(found.seq, "ack", letter_of(found, "cannot be decoded: all of it"))])
    alerting().look()
    assert going_on(history) == [("dead-letters", "an unknown task")]
    assert "cannot be decoded." in summaries(history)


def test_c38_a_queue_that_waits_above_its_limit(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]
) -> None:
    engine.open_lease("here@test", [QUEUE, "bulk"], 10)
    put(engine, "a")
    put(engine, "b", queue="bulk")
    one = alerting(thresholds=Thresholds(wait=300.0, waits={"bulk": 7200.0}))
    with time_machine.travel(time.time() + 400, tick=False):
        one.look()
        assert going_on(history) == [], "one slow moment is none"
        one.look()
        assert going_on(history) == [("queue-wait", QUEUE)]
        assert "Jobs in mail wait for more than 5 min, 1 of them now." in summaries(history)
    with time_machine.travel(time.time() + 7300, tick=False):
        one.look()
        one.look()
        assert going_on(history) == [("queue-wait", "bulk"), ("queue-wait", QUEUE)]
    # The clock is back.
    for _ in range(alerter_module._CALM):
        one.look()
    assert going_on(history) == []


def test_c38_where_the_store_does_not_tell_the_history_does(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.open_lease("here@test", [QUEUE], 10)
    record(engine, history)
    put(engine, "a", "b")
    (first,) = engine.fetch({QUEUE: 0}, 1)
    now = time.time()
    engine.settle([Settled(first.seq, "ack", told=Ended("a", QUEUE, 0, "SUCCESS", now - 900, now, now, None))])
    record(engine, history)
    monkeypatch.setattr(type(engine.names), "waits", lambda _: {})
    one = alerting(thresholds=Thresholds())
    one.look()
    one.look()
    assert going_on(history) == [("queue-wait", QUEUE)]


def test_c4_c38_a_queue_without_a_consumer(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]
) -> None:
    put(engine, "a", "b")
    put(engine, "c", queue="halted")
    engine.pause("halted")
    engine.names.declare("empty", transient=False)
    one = alerting()
    for _ in range(5):
        one.look()
    assert going_on(history) == [], "a worker that is restarted is none"
    one.look()
    assert going_on(history) == [("no-consumer", QUEUE)]
    assert "No worker consumes mail, and 2 jobs wait in it." in summaries(history)
    engine.open_lease("here@test", [QUEUE], 10)
    for _ in range(alerter_module._CALM - 1):
        one.look()
    assert going_on(history) == [("no-consumer", QUEUE)]
    one.look()
    assert going_on(history) == []


def test_c38_what_comes_and_goes_is_one_incident(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]
) -> None:
    one = alerting()
    put(engine, "a")
    for _ in range(6):
        one.look()
    for _ in range(5):
        engine.open_lease("here@test", [QUEUE], 10)
        one.look()
        one.look()
        engine.close_lease()
        one.look()
    assert going_on(history) == [("no-consumer", QUEUE)]
    assert len(history.incidents.find().incidents) == 1


def test_c38_a_silent_scheduler(engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]) -> None:
    rhythm = Rhythm(entries={"shop/often": 30.0, "shop/nightly": ["0", "3", "*", "*", "*"], "shop/never": 1e9})
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    one = alerting(rhythm=rhythm)
    leader = engine.leader("shop")
    assert leader.leads()
    with time_machine.travel(noon, tick=False) as clock:
        assert engine.tick(leader, [], "shop/often", time.time(), 1)
        assert engine.tick(leader, [], "shop/nightly", time.time() - 9 * 3600, 1)
        one.look()
        one.look()
        assert going_on(history) == []
        clock.shift(timedelta(seconds=89))
        one.look()
        one.look()
        assert going_on(history) == []
        clock.shift(timedelta(seconds=10))
        one.look()
        one.look()
        assert going_on(history) == [("scheduler", "shop")]
        assert "The scheduler is silent: often should have run." in summaries(history)
        assert engine.tick(leader, [], "shop/often", time.time(), 2)
        for _ in range(alerter_module._CALM):
            one.look()
        assert going_on(history) == []
        clock.shift(timedelta(hours=15, minutes=2))
        assert engine.tick(leader, [], "shop/often", time.time(), 3)
        one.look()
        one.look()
        assert going_on(history) == [("scheduler", "shop")]
        assert "nightly should have run." in summaries(history)
    leader.resign()


def test_c38_a_recorder_that_has_just_begun_gives_the_scheduler_a_minute(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]
) -> None:
    leader = engine.leader("shop")
    assert leader.leads()
    assert engine.tick(leader, [], "shop/often", time.time() - 86_400, 1)
    one = alerting(rhythm=Rhythm(entries={"shop/often": 30.0}))
    one.look()
    one.look()
    assert going_on(history) == []
    leader.resign()


def test_c38_many_subjects_are_bounded(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symptoms, "_SUBJECTS_MOST", 3)
    one = alerting()
    for number in range(5):
        put(engine, *(f"{number}-{each}" for each in range(number + 1)), queue=f"q{number}")
    for _ in range(6):
        one.look()
    wrong = [("no-consumer", name) for name in ("(more)", "q2", "q3", "q4")]
    assert going_on(history) == wrong
    assert "The same is so of 2 more." in summaries(history)


def test_c38_while_store_or_history_is_away_nothing_begins_and_nothing_ends(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = alerting()
    put(engine, "a")
    for _ in range(6):
        one.look()
    assert going_on(history) == [("no-consumer", QUEUE)]

    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnreachable("redis://host", "refused")

    for place, name in ((type(engine), "queues"), (type(history.database), "write")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, away)
            if name == "write":
                engine.open_lease("here@test", [QUEUE], 10)
            for number in range(alerter_module._CALM + 2):
                if name == "queues" or number >= alerter_module._CALM - 1:
                    with pytest.raises(StoreUnreachable):
                        one.look()
                else:
                    one.look()
        assert going_on(history) == [("no-consumer", QUEUE)]
    one.look()
    assert going_on(history) == []
    assert len(history.incidents.find().incidents) == 1


def test_c38_what_died_while_nobody_could_look_counts_afterwards(
    engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter]
) -> None:
    engine.open_lease("here@test", [QUEUE], 10)
    one = alerting()
    one.look()
    fail(engine, "a", task="shop.pay")
    with time_machine.travel(time.time() + 3600, tick=False):
        one.look()
        assert going_on(history) == [("dead-letters", "shop.pay")]
