"""Queues that last, queues that go with their listener, and what feeds them (C45)."""

from __future__ import annotations

import time
from collections.abc import Callable

from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing
from umbel.testing.contract._peer import Peer
from umbel.testing.contract._suite import until


def age(engine: SQLiteEngine, name: str, seconds: float) -> None:
    """Let the listener of a queue have been seen so long ago."""
    with engine.file.turn() as connection:
        connection.execute("UPDATE queue SET seen = ? WHERE name = ?", (time.time() - seconds, name))


def test_a_declared_queue_exists_for_every_process(engine: SQLiteEngine, peer: Callable[..., Peer]) -> None:
    engine.names.declare("email", transient=False)
    assert engine.names.exists("email")
    assert not engine.names.exists("unheard of")
    assert [status.name for status in peer().call("queues")] == ["email"]


def test_a_transient_queue_is_none_of_the_operators_business(engine: SQLiteEngine) -> None:
    engine.names.declare("celeryev.1", transient=True)
    engine.names.declare("email", transient=False)
    assert [status.name for status in engine.queues()] == ["email"]


def test_a_transient_queue_goes_when_its_listener_is_gone(engine: SQLiteEngine) -> None:
    for name in ("gone", "alive"):
        engine.names.declare(name, transient=True)
        engine.names.bind("events", "", "", name)
        engine.enqueue([Outgoing(name, "{}")])
        age(engine, name, 3600)
    engine.names.declare("lasting", transient=False)
    engine.names.touch(["alive"])
    engine.sweep()
    assert [engine.names.exists(name) for name in ("gone", "alive", "lasting")] == [False, True, True]
    assert (engine.take("gone", 10), len(engine.take("alive", 10))) == ([], 1)
    engine.names.forget()
    assert [queue for _, _, queue in engine.names.bindings("events")] == ["alive"]


def test_a_transient_queue_made_anew_has_nothing_of_the_old_one(engine: SQLiteEngine) -> None:
    engine.names.declare("reply", transient=True)
    engine.enqueue([Outgoing("reply", "old")])
    engine.names.drop("reply")
    engine.names.declare("reply", transient=True)
    assert engine.take("reply", 10) == []
    engine.enqueue([Outgoing("reply", "new")])
    assert [delivery.payload for delivery in engine.take("reply", 10)] == ["new"]


def test_dropping_a_lasting_queue_leaves_what_runs(engine: SQLiteEngine) -> None:
    engine.open_lease("here@test", ["email"], 1)
    engine.enqueue([Outgoing("email", "{}", "running"), Outgoing("email", "{}", "waiting")])
    assert len(engine.fetch({"email": 0}, 1)) == 1
    engine.names.drop("email")
    assert [(status.name, status.ready, status.leased) for status in engine.queues()] == [("email", 0, 1)]


def test_a_queue_once_declared_as_lasting_stays(engine: SQLiteEngine) -> None:
    """A listener with the same name must not take it away."""
    engine.names.declare("email", transient=False)
    engine.names.forget()
    engine.names.declare("email", transient=True)
    age(engine, "email", 3600)
    engine.sweep()
    assert engine.names.exists("email")


def test_sizes_count_what_is_ready(engine: SQLiteEngine) -> None:
    engine.enqueue([Outgoing("email", "{}"), Outgoing("email", "{}"), Outgoing("email", "{}", due=4e9)])
    assert engine.names.size("email") == 2
    assert engine.names.size("unheard of") == 0


def test_c45_another_processes_binding_is_heard(engine: SQLiteEngine) -> None:
    """A new listener hears within moments; nobody has to start anew for it."""
    engine.names.bind("topic", "news.*", "^news\\.[^.]+$", "one")
    engine.names.bind("topic", "news.*", "^news\\.[^.]+$", "one")
    assert engine.names.bindings("topic") == [("news.*", "^news\\.[^.]+$", "one")]
    other = SQLiteEngine(engine.path)
    other.names.bind("topic", "#", "", "two")
    other.close()
    until(lambda: {queue for _, _, queue in engine.names.bindings("topic")} == {"one", "two"}, "the new binding")
    assert engine.names.bindings("elsewhere") == []
