"""C14: a connection that is given up strands nothing that was fetched over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from umbel.engine.fetcher import Fetcher
from umbel.engine.flusher import Flusher
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Delivery, Outgoing
from umbel.testing.contract._suite import payload, until

QUEUE = "default"


class Hub:
    """Celery's event loop, which is busy for now: it runs nothing."""

    def __init__(self) -> None:
        self.readers: set[int] = set()

    def add_reader(self, fd: int, call: object) -> None:
        self.readers.add(fd)

    def remove_reader(self, fd: int) -> None:
        self.readers.discard(fd)


@pytest.fixture
def flusher(engine: SQLiteEngine) -> Iterator[Flusher]:
    flusher = Flusher(engine)
    yield flusher
    flusher.stop()


def fetcher_of(engine: SQLiteEngine, flusher: Flusher) -> Fetcher:
    return Fetcher(engine, flusher, slots=lambda: 4, suspects="never")


def test_c14_what_was_not_delivered_goes_back(engine: SQLiteEngine, flusher: Flusher) -> None:
    engine.open_lease("here@test", [QUEUE], 4)
    engine.enqueue([Outgoing(QUEUE, payload(name), name) for name in ("a", "b")])
    hub, fetcher = Hub(), fetcher_of(engine, flusher)
    fetcher.start(hub, lambda delivery: None, lambda: None)
    fetcher.consume([QUEUE], [])
    until(lambda: engine.names.size(QUEUE) == 0, "both fetched")
    fetcher.stop()
    assert flusher.drain(30.0)
    assert [one.task_id for one in engine.fetch({QUEUE: 0}, 10)] == ["a", "b"]
    assert not hub.readers


def test_c14_what_comes_after_the_end_goes_back_too(
    engine: SQLiteEngine, flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a fetch that was under way, on a network that is slow to fail."""
    engine.open_lease("here@test", [QUEUE], 4)
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    inside, go_on = threading.Event(), threading.Event()
    fetch = engine.fetch

    def slow(*args: object, **options: object) -> list[Delivery]:
        found = fetch(*args, **options)  # type: ignore[arg-type]
        inside.set()
        assert go_on.wait(30.0)
        return found

    fetcher = fetcher_of(engine, flusher)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "fetch", slow)
        fetcher.start(Hub(), lambda delivery: None, lambda: None)
        fetcher.consume([QUEUE], [])
        assert inside.wait(30.0)
        ending = threading.Thread(target=fetcher.stop)
        ending.start()
        until(fetcher._stopped.is_set, "told to stop")
        go_on.set()
        ending.join(30.0)
    until(lambda: flusher.drain(30.0) and engine.names.size(QUEUE) == 1, "given back")


@pytest.mark.parametrize("told", [False, True], ids=["nothing told", "told of something"])
def test_a_store_that_is_far_away_is_asked_again_when_it_has_told_of_something(
    engine: SQLiteEngine, flusher: Flusher, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    engine.open_lease("here@test", [QUEUE], 4)
    asked, waits = threading.Semaphore(0), threading.Semaphore(0)

    def fetch(*args: object, **options: object) -> list[Delivery]:
        asked.release()
        return []

    def wait(seconds: float, **_: bool) -> bool:
        waits.release()
        return told

    # So that the test is not about how long twenty rounds take.
    monkeypatch.setattr("umbel.engine.fetcher._UNASKED_SECONDS", 3600.0)
    monkeypatch.setattr(type(engine), "far", True)
    monkeypatch.setattr(engine, "fetch", fetch)
    monkeypatch.setattr(engine, "wait", wait)
    fetcher = fetcher_of(engine, flusher)
    fetcher.start(Hub(), lambda delivery: None, lambda: None)
    fetcher.consume([QUEUE], [])
    assert asked.acquire(timeout=30.0)
    for _ in range(20):
        assert waits.acquire(timeout=30.0)
    # It was asked in each of the twenty rounds, or in none after the first.
    assert asked.acquire(timeout=30.0 if told else 0.0) == told
    fetcher.stop()
