"""C23 in PostgreSQL: events are read in the order of their numbers, in which they are not committed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from umbel.engine.postgres_events import tell_queued
from umbel.engine.postgres_store import PostgresStore, Step
from umbel.engine.registry import open_state
from umbel.engine.state import State
from umbel.engine.store import Outgoing
from umbel.state.events import Queued
from umbel.testing.contract._suite import payload, until


@pytest.fixture
def state(postgres_state_url: str) -> Iterator[State]:
    with recording(postgres_state_url) as made:
        yield made


@contextlib.contextmanager
def recording(url: str) -> Iterator[State]:
    made = open_state(url)
    made.check()
    made.events.expect()
    yield made
    made.close()


class Writer:
    """Another process that has written an event, in a transaction that is not over."""

    def __init__(self, url: str, name: str) -> None:
        self._store = PostgresStore(url.replace("+psycopg", ""))
        self._store.tells = True
        self._written, self._go, self._fails = threading.Event(), threading.Event(), False
        self._pool = ThreadPoolExecutor(1)
        self._step = self._pool.submit(self._store.run, lambda step: self._tell(step, name))
        until(lambda: self._written.is_set() or self._step.done(), "it has written")

    def _tell(self, step: Step, name: str) -> None:
        tell_queued(step, [Outgoing("default", payload(name), name)])
        self._written.set()
        assert self._go.wait(60)
        if self._fails:
            raise InterruptedError

    def end(self, *, fails: bool = False) -> None:
        """Commit, or roll back."""
        self._fails = self._fails or fails
        self._go.set()
        with pytest.raises(InterruptedError) if self._fails else contextlib.nullcontext():
            self._step.result(60)
        self._pool.shutdown()
        self._store.close()


@pytest.fixture
def write(state: State, postgres_state_url: str) -> Iterator[Callable[[str], Writer]]:
    made: list[Writer] = []

    def begin(name: str) -> Writer:
        made.append(Writer(postgres_state_url, name))
        return made[-1]

    yield begin
    for one in made:
        one.end()


def told(state: State, *, drop: bool = False) -> list[str]:
    logged = state.events.read(100)
    if logged is None:
        return []
    if drop:
        state.events.drop(logged.last)
    return [one.task_id for one in logged.events if isinstance(one, Queued)]


def test_c23_one_who_has_written_and_not_committed_is_waited_for(state: State, write: Callable[[str], Writer]) -> None:
    first, second = write("first"), write("second")
    second.end()
    assert told(state, drop=True) == []
    assert told(state, drop=True) == [], "with the second one the first would be passed over"
    first.end()
    assert told(state) == ["first", "second"]


def test_c23_one_who_has_rolled_back_is_not_waited_for(state: State, write: Callable[[str], Writer]) -> None:
    first, second = write("first"), write("second")
    second.end()
    first.end(fails=True)
    assert told(state) == ["second"]


def test_c23_what_is_told_is_read_although_there_is_always_one_who_writes(
    state: State, write: Callable[[str], Writer]
) -> None:
    writer, seen = write("0"), []
    for number in range(1, 6):
        seen += told(state, drop=True)
        after = write(str(number))
        writer.end()
        writer = after
    assert seen == ["0", "1", "2", "3"]
    writer.end()
    assert told(state) == ["4", "5"]


def test_c23_transactions_of_others_hold_nothing_up(
    state: State, write: Callable[[str], Writer], postgres_state_url: str
) -> None:
    with psycopg.connect(postgres_state_url.replace("+psycopg", "")) as other:
        other.execute("SELECT pg_current_xact_id(), pg_advisory_xact_lock_shared(7304183, 1)")
        write("a").end()
        assert told(state) == ["a"]


@pytest.mark.parametrize("isolation", [r"read\ committed", "serializable"])
def test_c23_what_is_committed_between_the_questions_is_seen(
    postgres_state_url: str, write: Callable[[str], Writer], monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    """Whatever isolation the database gives by default."""
    options = quote(f"-c default_transaction_isolation={isolation}")
    writer, rows = write("a"), Step.rows

    def late(step: Step, name: str, *values: Any) -> list[tuple[Any, ...]]:
        if name == "event_writers":
            writer.end()
        return rows(step, name, *values)

    with recording(f"{postgres_state_url}?options={options}") as state:
        monkeypatch.setattr(Step, "rows", late)
        assert told(state) == ["a"]


def test_c23_numbers_that_an_older_version_has_kept_are_understood(
    state: State, write: Callable[[str], Writer]
) -> None:
    write("a").end()
    write("b").end()
    whole = state.events.read(1)
    assert whole is not None
    after = state.events.read(100, f"812-{whole.last}")
    assert after is not None
    assert len(after.events) == 1
    state.events.drop(f"812-{after.last}")
    assert state.events.size() == 0
