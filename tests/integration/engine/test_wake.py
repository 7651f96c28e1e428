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


class _Gone:
    """The bell of a process that has ended; while it is rung another thread rings."""

    def __init__(self, waker: Waker) -> None:
        self.closed = 0
        self.other = threading.Thread(target=waker.ring)

    def ring(self) -> bool:
        if self.other.ident is None:
            self.other.start()
            # It may go on only when this one is done with it.
            self.other.join(0.1)
        return False

    def close(self) -> None:
        self.closed += 1


def test_c1_two_that_ring_at_once_find_a_process_gone_once(tmp_path: Path) -> None:
    """Their jobs are stored by then: a dispatch that failed here would be made again."""
    waker = Waker(tmp_path)
    # Knows the folder as it is.
    waker.ring()
    gone = _Gone(waker)
    waker._bells["gone"] = gone  # type: ignore[assignment]
    waker.ring()
    gone.other.join()
    assert gone.closed == 1
    waker.close()


def test_a_child_that_was_forked_while_somebody_rang_rings_all_the_same(tmp_path: Path) -> None:
    waker = Waker(tmp_path)
    waker._pid = 0
    with waker._lock:
        child = threading.Thread(target=waker.ring, daemon=True)
        child.start()
        child.join(LONG)
        assert not child.is_alive()


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
