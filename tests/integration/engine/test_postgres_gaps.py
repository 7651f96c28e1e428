"""What others commit between two statements of one step in PostgreSQL: nothing is lost in the gap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from umbel.engine.postgres_store import Step
from umbel.engine.registry import open_state
from umbel.engine.state import Keyed, State
from umbel.engine.store import Outgoing
from umbel.engine.uniques import UniqueKey
from umbel.state.breakers import Threshold
from umbel.testing.contract._suite import payload, until

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def state(postgres_state_url: str) -> Iterator[State]:
    made = open_state(postgres_state_url)
    made.check()
    yield made
    made.close()


@pytest.fixture
def other(state: State, postgres_state_url: str) -> Iterator[Connection]:
    """Another one's connection."""
    with psycopg.connect(postgres_state_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], Any]], None]:
    """Let something happen right before a statement runs for the first time."""

    def put(name: str, action: Callable[[], Any]) -> None:
        rows, actions = Step.rows, iter([action])

        def late(step: Step, asked: str, *values: Any) -> list[tuple[Any, ...]]:
            if asked == name:
                for one in actions:
                    one()
            return rows(step, asked, *values)

        monkeypatch.setattr(Step, "rows", late)

    return put


def test_c29_a_breaker_that_is_closed_while_a_failure_is_counted(
    state: State, other: Connection, before: Callable[[str, Callable[[], Any]], None]
) -> None:
    threshold = Threshold(2, 3600, 3600)
    assert not state.breakers.failed("a", "one", threshold)
    before("breaker_lock", lambda: other.execute("DELETE FROM umbel.breaker"))
    assert not state.breakers.failed("a", "one", threshold), "the first one of a new count"
    assert state.breakers.failed("a", "one", threshold)


def test_c30_a_key_that_is_swept_while_it_is_taken_is_kept_all_the_same(
    state: State, other: Connection, before: Callable[[str, Callable[[], Any]], None]
) -> None:
    def dispatch(task_id: str) -> list[str]:
        message = Outgoing("default", payload(task_id), task_id, unique=UniqueKey("key", 600.0))
        return state.note_unique([Keyed(task_id, message, "shop.greet")])

    assert dispatch("a") == ["a"]
    before("unique_lock", lambda: other.execute("DELETE FROM umbel.unique_key"))
    assert dispatch("b") == ["b"]
    assert state.unique_holder("key") == "b"
    assert dispatch("c") == ["b"]


def test_c31_who_has_waited_for_a_lock_has_a_larger_number_than_all_before(state: State, other: Connection) -> None:
    """Also than those who were given theirs while it waited."""
    fence = state.locks.acquire("a", "first", 600).fence
    found: list[int] = []
    with other.transaction():
        other.execute("DELETE FROM umbel.lock WHERE name = 'a'")
        waits = threading.Thread(target=lambda: found.append(state.locks.acquire("a", "second", 600).fence))
        waits.start()
        until(lambda: is_waiting(other), "it waits for the lock to be gone")
        (between,) = other.execute("SELECT nextval('umbel.fence')").fetchone() or (0,)
    waits.join()
    assert found[0] > between > fence


def is_waiting(other: Connection) -> bool:
    row = other.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return row is not None and row[0] > 0
