"""Waking who waits: a ring is heard by another process, and costs nobody who is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from umbel.engine.lease import Lease
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing
from umbel.engine.wake import Listener, Waker
from umbel.testing.contract._peer import Peer

LONG = 30.0


def test_a_dispatch_wakes_the_process_that_waits(engine: SQLiteEngine, peer: Callable[..., Peer]) -> None:
    """Waiting without the slow poll behind it: only the ring can end it."""
    engine.open_lease("here@test", ["default"], 1)
    assert engine._listener is not None
    assert engine._lease is not None
    engine._lease.idle = True
    other = peer("nothing")
    assert not engine._listener.wait(0.0), "nobody has rung yet"
    other.call("enqueue", [Outgoing("default", "{}")])
    assert engine._listener.wait(LONG), "the ring was not heard"


def test_messages_given_back_wake_others(engine: SQLiteEngine, peer: Callable[..., Peer]) -> None:
    engine.enqueue([Outgoing("default", "{}")])
    engine.open_lease("here@test", ["default"], 1)
    assert engine._listener is not None
    assert engine._lease is not None
    other = peer("default")
    assert len(other.call("fetch", {"default": 0}, 1)) == 1
    engine._lease.idle = True
    while engine._listener.wait(0.0):
        pass
    other.call("close_lease")
    assert engine._listener.wait(LONG)


def test_ring_wakes_this_process(engine: SQLiteEngine) -> None:
    engine.open_lease("here@test", ["default"], 1)
    assert engine._listener is not None
    threading.Timer(0.05, engine.ring).start()
    assert engine._listener.wait(LONG)
    assert not engine._listener.wait(0.0), "one ring woke twice"


def test_a_listener_that_is_busy_is_left_alone(engine: SQLiteEngine, peer: Callable[..., Peer]) -> None:
    """It looks at the store before it waits, so that a write into its pipe would be for nothing."""
    engine.open_lease("here@test", ["default"], 1)
    assert engine._listener is not None
    peer("nothing").call("enqueue", [Outgoing("default", "{}")])
    assert not engine._listener.wait(0.0)
    assert len(engine.fetch({"default": 0}, 10)) == 1


def test_ringing_who_is_gone_is_no_error(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    listener = Listener(tmp_path, lease.token)
    waker = Waker(tmp_path)
    waker.ring()
    listener.close()
    lease.release()
    for _ in range(3):
        waker.ring()
    waker.close()
    Waker(tmp_path / "nowhere").ring()


def test_thousands_of_rings_do_not_block(tmp_path: Path) -> None:
    """Nobody reads: the pipe fills up, and the writer goes on."""
    lease = Lease(tmp_path)
    listener = Listener(tmp_path, lease.token)
    waker = Waker(tmp_path)
    lease.idle = True
    for _ in range(100_000):
        waker.ring()
    assert listener.wait(0.0)
    waker.close()
    listener.close()
    lease.release()
