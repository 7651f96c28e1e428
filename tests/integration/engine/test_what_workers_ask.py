"""What the parts of a worker ask the embedded engine between two batches."""

from __future__ import annotations

from collections.abc import Callable

from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing, Record
from umbel.testing.contract._peer import Peer


def test_c8_how_urgent_the_most_urgent_is(engine: SQLiteEngine) -> None:
    queues = {"email": 0, "default": 0, "unheard of": 0}
    assert engine.most_urgent(queues) is None
    engine.enqueue([Outgoing("email", "{}", priority=3), Outgoing("default", "{}", priority=7)])
    engine.enqueue([Outgoing("other", "{}", priority=9), Outgoing("email", "{}", priority=9, due=4e9)])
    assert engine.most_urgent(queues) == 2
    engine.open_lease("here@test", ["default"], 1)
    assert [delivery.rank for delivery in engine.fetch({"default": 0}, 1)] == [2]
    assert engine.most_urgent(queues) == 6


def test_c22_which_of_its_own_jobs_were_cancelled(engine: SQLiteEngine, peer: Callable[..., Peer]) -> None:
    """The mark tells whether there is anything to look for."""
    engine.enqueue([Outgoing("default", "{}", name) for name in ("mine", "gentle", "theirs", "waiting")])
    engine.open_lease("here@test", ["default"], 1)
    engine.fetch({"default": 0}, 2)
    assert len(peer("default").call("fetch", {"default": 0}, 1)) == 1
    mark = engine.cancel_mark()
    assert engine.cancelled_here() == []
    for name in ("theirs", "waiting", "mine"):
        engine.cancel(name, Record(name, "REVOKED", True, "{}"))
        assert engine.cancel_mark() > mark
        mark = engine.cancel_mark()
    engine.cancel("gentle", None, running=False)
    assert engine.cancelled_here() == ["mine"]


def test_c17_how_many_suspects_wait(engine: SQLiteEngine, peer: Callable[..., Peer]) -> None:
    engine.enqueue([Outgoing("default", "{}", "a"), Outgoing("email", "{}", "b")])
    other = peer("default", "email")
    for delivery in other.call("fetch", {"default": 0, "email": 0}, 2):
        other.call("started", delivery.seq)
    other.kill()
    assert engine.suspects() == 0
    engine.reap()
    assert (engine.suspects(), engine.suspects(["email"]), engine.suspects(["none"])) == (2, 1, 0)


def test_c19_which_jobs_of_another_process_are_overdue(engine: SQLiteEngine, peer: Callable[..., Peer]) -> None:
    engine.enqueue([Outgoing("default", "{}", name) for name in "ab"])
    other = peer("default")
    a, b = other.call("fetch", {"default": 0}, 2)
    other.call("started", a.seq, 0.001)
    other.call("started", b.seq, 3600.0)
    while not engine.overdue(other.token, 0.0):
        pass
    assert engine.overdue(other.token, 0.0) == [a.seq]
    assert engine.overdue(other.token, 60.0) == []
    assert engine.overdue("unheard of", 0.0) == []
