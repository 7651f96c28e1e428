"""A worker is woken by whoever sends; a notice that never comes costs a second at most."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import BusyLoadingError

from tests.integration.on_redis.server import Server
from umbel.engine import redis_wake
from umbel.engine.redis import RedisEngine
from umbel.engine.store import Outgoing
from umbel.errors import StoreError
from umbel.testing.contract._suite import payload, until

QUEUE = "default"
#: Longer than any test: whoever returns before was woken, or looked by itself.
LONG = 600.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("redis")) as server:
        server.do("ACL", "SETUSER", "blind", "on", ">pw", "~*", "&*", "+@all", "-client|tracking")
        yield server


@pytest.fixture
def engine(server: Server) -> Iterator[RedisEngine]:
    yield from opened(server.url)


@pytest.fixture
def blind(server: Server) -> Iterator[RedisEngine]:
    """The engine of a user whom the server tells nothing."""
    yield from opened(server.url.replace("://", "://blind:pw@"))


def opened(url: str) -> Iterator[RedisEngine]:
    engine = RedisEngine(url)
    engine.open_lease("here@test", [QUEUE], 4)
    engine.purge(QUEUE)
    yield engine
    engine.close()


def test_what_is_delayed_between_a_look_and_the_wait_is_waited_for(engine: RedisEngine, server: Server) -> None:
    """C16, C26: the retry of a job that has just ended is due in a moment; nobody may sleep over that."""
    assert engine.fetch({QUEUE: 0}, 1) == []
    due = float(server.do("TIME")[0]) + 3600
    engine.enqueue([Outgoing(QUEUE, payload("later"), "later", 0, due)])
    assert engine.wait(LONG)
    assert not engine.wait(0.0), "told twice of one change"
    assert engine.fetch({QUEUE: 0}, 1) == []
    assert not engine.wait(0.0)
    assert engine.fetch({QUEUE: 0}, 1) == []
    engine.enqueue([Outgoing(QUEUE, payload("sooner"), "sooner", 0, due - 1800)])
    assert engine.wait(LONG)


def waits(engine: RedisEngine, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note how long the listener lets itself sleep at most."""
    listener: Any = engine._listener
    found: list[float] = []
    select = listener._selector.select

    def noting(seconds: float) -> Any:
        found.append(seconds)
        return select(seconds)

    monkeypatch.setattr(listener._selector, "select", noting)
    return found


def fetched(engine: RedisEngine) -> list[str | None]:
    """Fetch and wait as a worker's thread does, until something is there."""
    while True:
        found = engine.fetch({QUEUE: 0}, 10)
        if found:
            return [one.task_id for one in found]
        engine.wait(LONG)


def send_soon(url: str) -> threading.Thread:
    def send() -> None:
        other = RedisEngine(url)
        other.enqueue([Outgoing(QUEUE, payload("a"), "a")])
        other.close()

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_nobody_sleeps_longer_than_a_second_whatever_notice_is_lost(
    server: Server, engine: RedisEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking connection that the server has forgotten about: nothing ever comes over it."""
    monkeypatch.setattr(
        redis_wake.RedisListener, "_tracking", lambda self: self._client.connection_pool.get_connection()
    )
    seen = waits(engine, monkeypatch)
    sender = send_soon(server.url)
    assert fetched(engine) == ["a"]
    sender.join()
    engine.wait(LONG)
    assert max(seen) <= 1.0


def test_a_server_that_sends_no_notices_is_asked_more_often(
    server: Server, blind: RedisEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = waits(blind, monkeypatch)
    sender = send_soon(server.url)
    assert fetched(blind) == ["a"]
    sender.join()
    blind.wait(LONG)
    assert max(seen) <= 0.1
    assert [text for text in caplog.messages if "sends no notices" in text] != []
    assert "pw" not in caplog.text
    server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    blind.enqueue([Outgoing(QUEUE, payload("b"), "b")])
    assert fetched(blind) == ["b"]
    assert sum("sends no notices" in text for text in caplog.messages) == 1, "said once"


def test_a_server_that_is_started_again_tells_again(tmp_path: Path) -> None:
    with Server(tmp_path / "redis", appendonly="yes", appendfsync="always") as server:
        for engine in opened(server.url):
            assert not engine.wait(0.01)
            server.kill()
            server.start()
            with server.client() as admin:
                until(lambda: not _is_loading(admin), "the server has loaded what it had")
            sender = send_soon(server.url)
            while not (found := _fetched_once(engine)):
                engine.wait(LONG)
            sender.join()
            assert found == ["a"]
            with server.client() as admin:
                flags = [client["flags"] for client in admin.client_list()]
            assert any("t" in flag for flag in flags), "nobody asked to be told"


def _is_loading(admin: Any) -> bool:
    try:
        return not admin.ping()
    except BusyLoadingError:
        return True


def _fetched_once(engine: RedisEngine) -> list[str | None]:
    try:
        return [one.task_id for one in engine.fetch({QUEUE: 0}, 10)]
    except StoreError:
        return []
