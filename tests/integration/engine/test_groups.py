"""Groups and chords in the file, and when they go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from celery import chord
from kombu.exceptions import OperationalError

from umbel import Umbel
from umbel.engine import envelope, sqlite_file
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.store import ChordPart, Settled
from umbel.errors import StoreUnreachable


def test_a_group_is_kept_until_it_expires(engine: SQLiteEngine) -> None:
    now = time.time()
    engine.groups.save("old", "1", now - 1)
    engine.groups.save("new", "2", now + 60)
    engine.groups.save("new", b"3", now + 60)
    engine.groups.save("for ever", "4", None)
    engine.sweep()
    assert [engine.groups.read(name) for name in ("old", "new", "for ever")] == [None, b"3", "4"]
    engine.groups.forget("new")
    assert engine.groups.read("new") is None


def test_parts_come_in_their_places(engine: SQLiteEngine) -> None:
    """C5: a chord's callback gets its results in the order of the header, whoever was first."""
    for place, name in ((2, "a"), (0, "c"), (1, "b")):
        engine.settle([Settled(parts=[ChordPart("g", name, place, f'"{name}"', None)])])
    assert engine.groups.parts("g") == [("c", '"c"'), ("b", '"b"'), ("a", '"a"')]


def test_c5_a_size_that_comes_after_the_parts_counts(engine: SQLiteEngine) -> None:
    engine.settle([Settled(parts=[ChordPart("g", "a", 0, "1", None)])])
    engine.groups.set_size("g", 2, None)
    assert len(engine.settle([Settled(parts=[ChordPart("g", "b", 1, "1", None)])]).complete) == 1


def test_c14_a_chord_waits_for_its_members_longer_than_results_are_kept(engine: SQLiteEngine) -> None:
    """Its last member may be delayed, or wait in a long queue."""
    engine.groups.set_size("g", 2, time.time() - 1)
    engine.settle([Settled(parts=[ChordPart("g", "a", 0, "1", None)])])
    engine.sweep()
    assert len(engine.settle([Settled(parts=[ChordPart("g", "b", 1, "2", None)])]).complete) == 1


def test_chords_that_nobody_completes_expire(engine: SQLiteEngine) -> None:
    for group in ("old", "alive"):
        engine.settle([Settled(parts=[ChordPart(group, "a", 0, "1", 3)])])
    with engine.file.write() as connection:
        connection.execute("UPDATE counter SET expires = 1 WHERE id = 'old'")
    engine.sweep()
    assert {name: len(engine.groups.parts(name)) for name in ("old", "alive")} == {"old": 0, "alive": 1}
    with engine.file.read() as connection:
        assert connection.execute("SELECT id FROM counter").fetchall() == [("alive",)]


def test_c18_a_chord_of_an_earlier_schema_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size, its growth and its parts are taken over; one whose callback was sent stays over."""
    path = tmp_path / "jobs.db"
    file = StoreFile(path)
    with monkeypatch.context() as earlier:
        earlier.setattr(sqlite_file, "SCHEMA", 11)
        with file.write() as connection:
            connection.execute("INSERT INTO chord VALUES ('g', 2, 1, 1, 0, 4e9), ('over', 1, 0, 1, 1, 4e9)")
            connection.execute("INSERT INTO chord_part VALUES ('g', 'a', 0, '1')")
        file.close()
    engine = SQLiteEngine(path)
    one = {group: [ChordPart(group, name, 1, "2", None) for name in "abc"] for group in ("g", "over")}
    assert engine.settle([Settled(parts=[one["g"][0], one["over"][1]])]).complete == ()
    assert engine.settle([Settled(parts=[one["g"][1]])]).complete == ()
    assert engine.settle([Settled(parts=[one["g"][2]])]).complete == (one["g"][2],)
    assert engine.groups.parts("g") == [("a", "1"), ("b", "2"), ("c", "2")]
    engine.close()


@pytest.mark.parametrize("step", ["set_size", "save", "enqueue"])
def test_c5_a_chord_that_cannot_be_dispatched_fails_as_any_other_dispatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever of its steps meets a store that is cut off."""

    def cut(*_: Any) -> Any:
        raise StoreUnreachable("the store", "cut")

    app = Umbel("chords", broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False)
    task = app.task(name="chords.add", shared=False)(max)
    monkeypatch.setattr(app.engine if step == "enqueue" else app.engine.groups, step, cut)
    with pytest.raises(OperationalError, match="cut"):
        chord([task.si(1, 2), task.si(3, 4)], app=app)(task.si(5, 6))
    app.engine.close()
    app.close()


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_c18_the_sweeper_sends_a_callback_that_was_lost_with_its_process(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    """A member that is acknowledged before it begins does not run again when its process dies between the two steps."""
    url = request.getfixturevalue("redis_url") if store == "redis" else f"sqlite:///{tmp_path}/jobs.db"
    app = Umbel("chords", broker=url, set_as_current=False)
    task = app.task(name="chords.add", shared=False)(max)
    chord([task.s(1, 2), task.s(3, 4)], app=app)(task.s(9), task_id="callback")
    app.engine.ensure_lease(["celery"])
    for place, delivery in enumerate(app.engine.fetch({"celery": 0}, 5)):
        headers = envelope.decode(delivery.payload)["headers"]
        part = ChordPart(headers["group"], headers["id"], place, app.backend.encode(["SUCCESS", place]), None)
        app.engine.settle([Settled(delivery.seq, "ack", parts=[part])])
    assert app.sweep_batches() == 0, "it was heard of just now"
    assert [app.sweep_batches(quiet=-1.0) for _ in range(2)] == [1, 0]
    (callback,) = app.engine.fetch({"celery": 0}, 5)
    assert callback.task_id == "callback"
    args, _, _ = envelope.decode_body(envelope.decode(callback.payload)["body"])
    assert args == [[0, 1], 9]
    app.engine.close()
    app.close()
