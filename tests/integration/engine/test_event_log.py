"""The log of events in a file: its bound, and messages that tell of themselves one by one or together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from umbel.engine import sqlite_file, sqlite_queueing
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing
from umbel.errors import StoreError
from umbel.state.events import MOST, Queued


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SQLiteEngine]:
    made = SQLiteEngine(tmp_path / "jobs.db")
    made.events.expect()
    yield made
    made.close()


def some(count: int, name: str = "j") -> list[Outgoing]:
    return [Outgoing("default", "{}", f"{name}{number}") for number in range(count)]


def told(engine: SQLiteEngine) -> list[str]:
    logged = engine.events.read(1000)
    return [] if logged is None else [one.task_id for one in logged.events if isinstance(one, Queued)]


@pytest.mark.parametrize("count", [1, sqlite_queueing._MANY - 1, sqlite_queueing._MANY, 200])
def test_what_finds_no_room_is_counted(engine: SQLiteEngine, count: int) -> None:
    with engine.file.write() as connection:
        values = [(1, 1.0, b""), (MOST + 1, 1.0, b"")]
        connection.executemany("INSERT INTO event (number, at, body) VALUES (?, ?, ?)", values)
    engine.enqueue(some(count))
    assert (engine.events.size(), engine.events.lost()) == (2, count)
    engine.events.drop(str(MOST))
    engine.enqueue(some(count, "k"))
    assert (engine.events.size(), engine.events.lost()) == (1 + count, count)


def test_many_that_are_not_queued_in_the_end_are_not_told_of(
    engine: SQLiteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setitem(sqlite_queueing._EVENTS, "queued", "INSERT INTO nowhere VALUES (?)")
        with pytest.raises(StoreError):
            engine.enqueue(some(50))
    engine.enqueue(some(1, "one"))
    engine.enqueue(some(50, "many"))
    assert told(engine) == ["one0", *(f"many{number}" for number in range(50))]


def test_messages_of_an_earlier_schema_tell_of_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.db"
    with monkeypatch.context() as earlier:
        earlier.setattr(sqlite_file, "SCHEMA", 14)
        old = SQLiteEngine(path)
        old.events.expect()
        old.enqueue(some(3, "old"))
        old.close()
    engine = SQLiteEngine(path)
    engine.enqueue(some(1, "one"))
    engine.enqueue(some(20, "many"))
    assert told(engine) == ["old0", "old1", "old2", "one0", *(f"many{number}" for number in range(20))]
    engine.close()


def test_pages_of_messages_and_of_events_do_not_lie_in_turns(engine: SQLiteEngine, tmp_path: Path) -> None:
    """A checkpoint writes pages in their order: neighbours go to the disk together."""
    engine.enqueue([Outgoing("default", "x" * 600, f"j{number}") for number in range(600)])
    engine.close()
    connection = sqlite3.connect(tmp_path / "jobs.db")
    try:
        query = "SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY pageno"
        pages = [row[0] for row in connection.execute(query)]
    except sqlite3.OperationalError:
        pytest.skip("this SQLite was built without dbstat")
    finally:
        connection.close()
    runs = 1 + sum(after != before + 1 for before, after in pairwise(pages))
    assert len(pages) > 90
    assert runs <= 5
