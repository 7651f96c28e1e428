"""The fact that a schedule entry has run is stored with the messages of its run (C40)."""

from __future__ import annotations

from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing


def test_c40_a_tick_that_cannot_be_stored_has_not_happened(engine: SQLiteEngine) -> None:
    leader = engine.leader("shop")
    try:
        engine.tick(leader, [Outgoing("default", object(), "a")], "nightly", 1000.5, 1)  # type: ignore[arg-type]
    except Exception:
        assert engine.last_ticks() == {}
    else:
        raise AssertionError("an impossible message was stored")
