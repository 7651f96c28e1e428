"""Groups and chords in the file, and when they go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from celery import chord
from kombu.exceptions import OperationalError

from umbel import Umbel
from umbel.engine.sqlite import SQLiteEngine
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
        connection.execute("UPDATE chord SET expires = 1 WHERE group_id = 'old'")
    engine.sweep()
    assert {name: len(engine.groups.parts(name)) for name in ("old", "alive")} == {"old": 0, "alive": 1}
    with engine.file.read() as connection:
        assert connection.execute("SELECT group_id FROM chord").fetchall() == [("alive",)]


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
