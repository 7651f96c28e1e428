"""The fact that a schedule entry has run is stored with the messages of its run (C40)."""

from __future__ import annotations

from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing


def test_c40_a_tick_and_its_messages_are_one_step(engine: SQLiteEngine) -> None:
    engine.tick([Outgoing("default", "{}", "a")], "nightly", 1000.5, 1)
    engine.tick([Outgoing("default", "{}", "b")], "nightly", 2000.5, 2)
    assert engine.last_ticks() == {"nightly": (2000.5, 2)}
    assert engine.names.size("default") == 2


def test_c40_a_tick_that_cannot_be_stored_has_not_happened(engine: SQLiteEngine) -> None:
    try:
        engine.tick([Outgoing("default", object(), "a")], "nightly", 1000.5, 1)  # type: ignore[arg-type]
    except Exception:
        assert engine.last_ticks() == {}
    else:
        raise AssertionError("an impossible message was stored")
