"""C14: a worker that loses its connection forgets nothing that waits in it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.prefork import TaskPool as Prefork
from celery.worker import state
from kombu.utils.limits import TokenBucket

from umbel.engine.consumer import Consumer
from umbel.engine.request import Request
from umbel.errors import StoreUnreachable


class Waiting(Request):
    """A job that has been fetched and does not run yet."""

    _eta_timer_entry = None

    def __init__(self, name: str) -> None:
        self.id = name
        self.given_back = self.cancelled = 0
        self.execution = object()  # type: ignore[assignment]
        self.acknowledged = False

    def interrupt(self) -> None:
        state.task_ready(self)
        self.given_back += 1

    def terminate(self, pool: Any, signal: Any = None) -> None:
        self.cancelled += 1


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    state.reset_state()


def consumer_with(*buckets: TokenBucket | None) -> Consumer:
    consumer: Any = object.__new__(Consumer)
    consumer.controller = consumer.timer = consumer.pool = None
    consumer.task_buckets = {str(number): bucket for number, bucket in enumerate(buckets)}
    return consumer  # type: ignore[no-any-return]


def test_c14_what_waits_for_its_time_or_its_rate_goes_back_and_what_runs_goes_on() -> None:
    limited, timed, running, in_the_pool = (Waiting(name) for name in ("limited", "timed", "running", "pool"))
    bucket = TokenBucket(1.0)
    bucket.add((limited, 1))
    state.scheduled_requests.add(timed)
    state.active_requests.add(running)
    state.reserved_requests.update((running, in_the_pool))
    consumer_with(bucket, None).on_close()
    assert [one.given_back for one in (limited, timed, running, in_the_pool)] == [1, 1, 0, 0]
    assert not bucket.contents


def test_c22_a_cancel_after_a_lost_connection_finds_what_the_pool_holds() -> None:
    running, in_the_pool, ended, elsewhere = (Waiting(name) for name in ("running", "pool", "ended", "elsewhere"))
    for one in (running, in_the_pool, ended, elsewhere):
        state.task_reserved(one)
    state.active_requests.add(running)
    state.task_ready(ended)
    # Of a broker that is none of Umbel's: it is delivered again to whoever comes.
    elsewhere.execution = None
    consumer: Any = consumer_with()
    consumer.hub = SimpleNamespace(call_soon=lambda call: call())
    consumer.on_close()
    consumer._stop_cancelled(["running", "pool", "ended", "elsewhere"])
    assert [one.cancelled for one in (running, in_the_pool, ended, elsewhere)] == [1, 1, 0, 0]
    assert set(state.requests) == {"running", "pool"}
    assert set(state.reserved_requests) == {running, in_the_pool}


def test_c14_what_a_prefork_pool_drops_with_its_connection_goes_back() -> None:
    running, unbegun = Waiting("running"), Waiting("unbegun")
    for one in (running, unbegun):
        state.task_reserved(one)
    state.active_requests.add(running)
    consumer: Any = consumer_with()
    consumer.pool = object.__new__(Prefork)
    consumer.pool.flush = lambda: None
    consumer.on_close()
    assert [running.given_back, unbegun.given_back] == [0, 1]
    assert set(state.requests) == {"running"}
    assert set(state.reserved_requests) == {running}


def test_c19_a_worker_that_has_given_everything_back_says_so() -> None:
    """Its supervisor then ends with it, and need not ask the store."""
    told: list[Any] = []
    consumer: Any = consumer_with()
    consumer.blueprint = SimpleNamespace(shutdown=lambda _: told.append("shut down"))
    consumer.perform_pending_operations = lambda: None
    consumer._engine = SimpleNamespace(close_lease=lambda: told.append("closed"))
    consumer.controller = SimpleNamespace(on_lease=told.append)
    consumer.shutdown()
    assert told == ["shut down", "closed", None]


def test_a_store_that_goes_away_while_a_worker_starts_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Celery begins again at once, and would fill the log."""
    consumer = Consumer.__new__(Consumer)
    consumer._engine = SimpleNamespace()  # type: ignore[assignment]
    for _ in range(3):
        consumer.on_connection_error_before_connected(StoreUnreachable("redis://here", "no route"))
    (line,) = caplog.messages
    assert line.startswith("Cannot fetch (redis://here cannot be reached (no route)")
