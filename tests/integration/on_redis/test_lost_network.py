"""C14: connections that are cut, with a word or without, and what is asked over them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import Reject
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.chaos.proxy import Proxy
from tests.conftest import RedisServer, free_port
from umbel import Umbel
from umbel.engine import redis_connect
from umbel.engine.amqp import Connection
from umbel.engine.collecting import publishing_into
from umbel.engine.redis import RedisEngine
from umbel.engine.store import Outgoing
from umbel.errors import StoreUnreachable
from umbel.testing.contract._suite import payload, until

QUEUE = "default"


@pytest.fixture
def link(redis_server: RedisServer, redis_url: str) -> Iterator[Proxy]:
    proxy = Proxy(redis_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def engine(link: Proxy, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisEngine]:
    """An engine behind the link, that takes a silent server for lost after half a second."""
    monkeypatch.setattr(redis_connect, "TIMEOUT_SECONDS", 0.5)
    engine = RedisEngine(f"redis://127.0.0.1:{link.port}/{redis_url.rpartition('/')[2]}")
    engine.open_lease("here@test", [QUEUE], 4)
    yield engine
    link.mend()
    engine.close()


def in_use_at_once(engine: RedisEngine, number: int) -> None:
    """Let the engine open so many connections."""
    pool = engine.store.client.connection_pool
    connections = [pool.get_connection() for _ in range(number)]
    for connection in connections:
        pool.release(connection)


def test_c14_one_silent_connection_condemns_all_that_were_open_then(engine: RedisEngine, link: Proxy) -> None:
    in_use_at_once(engine, 4)
    link.cut("freeze")
    link.mend()
    with pytest.raises(StoreUnreachable):
        engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    for number in range(8):
        engine.enqueue([Outgoing(QUEUE, payload(f"b{number}"), f"b{number}")])


def test_c14_who_waits_does_not_wait_on_a_connection_from_before(engine: RedisEngine, link: Proxy) -> None:
    engine.fetch({QUEUE: 0}, 1)
    engine.wait(0.01)
    link.cut("freeze")
    link.mend()
    with pytest.raises(StoreUnreachable):
        engine.fetch({QUEUE: 0}, 1)
    lost = engine.store.losses
    engine.wait(0.01)
    assert engine.store.losses == lost


def test_c14_who_waited_in_vain_warns_who_fetches(engine: RedisEngine, link: Proxy) -> None:
    engine.fetch({QUEUE: 0}, 1)
    engine.wait(0.01)
    link.cut("freeze")
    link.mend()
    assert engine.wait(0.01), "something may have come: nobody knows"
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    assert [one.task_id for one in engine.fetch({QUEUE: 0}, 1)] == ["a"]


def test_c45_broadcasts_are_heard_again_after_a_silent_cut(engine: RedisEngine, link: Proxy, redis_url: str) -> None:
    topic = engine.fanout.topic("celery.pidbox", "")
    engine.fanout.subscribe("inbox", topic)
    in_use_at_once(engine, 1)
    link.cut("freeze")
    link.mend()
    with pytest.raises(StoreUnreachable):
        engine.fetch({QUEUE: 0}, 1)
    assert engine.fanout.take("inbox", 1) == []
    other = RedisEngine(redis_url)

    def heard() -> list[bytes]:
        other.fanout.publish("celery.pidbox", "", "ping")
        return engine.fanout.take("inbox", 1)

    assert until(heard, "a broadcast") == [b"ping"]
    other.close()


class Unanswered:
    """Lets the server do what is asked, and loses the answer however often it is asked again."""

    def __init__(self, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ask = engine.store.begin_once
        self.asked = 0
        monkeypatch.setattr(engine.store, "begin_once", self)

    def __call__(self, name: str, *arguments: object) -> Any:
        answer = self.ask(name, *arguments)
        self.asked += 1
        return self._lost(answer) if self.asked == 1 else answer

    def _lost(self, answer: Callable[[], Any]) -> Callable[[], Any]:
        def lose() -> Any:
            answer()
            raise StoreUnreachable("redis://test", "cut")

        return lose


@pytest.mark.parametrize("options", [{}, {"expires": 600}], ids=["short way", "Celery's way"])
def test_c14_a_dispatch_whose_answer_is_lost_is_an_error_and_not_sent_twice(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    app = Umbel("client", broker=redis_url, set_as_current=False)

    @app.task(shared=False)
    def greet() -> None: ...

    app.finalize()
    server = Unanswered(app.engine, monkeypatch)
    with pytest.raises(OperationalError, match="cut"):
        greet.apply_async(**options)
    assert server.asked == 1
    assert app.engine.names.size("celery") == 1
    app.engine.close()
    app.close()


def test_c6_what_was_never_sent_is_said_so() -> None:
    engine = RedisEngine(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StoreUnreachable) as caught:
        engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    assert not caught.value.unsure


def test_c14_a_worker_asks_every_second_whether_the_store_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kombu's own pauses grow by two seconds each time, to half a minute."""
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _: None)
    # Told of each try, and not of the first alone.
    monkeypatch.setattr("umbel.engine.amqp.seldom", lambda errback: errback)
    pauses: list[float] = []
    enough = threading.Event()

    def note(error: Exception, pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 50:
            enough.set()
            raise KeyboardInterrupt

    transport = Umbel("client", broker=f"redis://127.0.0.1:{free_port()}/0", set_as_current=False).connection()
    assert isinstance(transport, Connection)
    with pytest.raises(KeyboardInterrupt):
        transport.ensure_connection(note)
    assert enough.is_set()
    assert max(pauses) == 1.0


@pytest.fixture
def away(link: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    """An application whose store is away from the first."""
    app = Umbel("client", broker=f"redis://127.0.0.1:{link.port}/0", set_as_current=False)
    app.conf.task_publish_retry = False
    link.cut("reset")
    yield app
    link.mend()
    app.engine.close()
    app.close()


def test_c14_what_follows_a_job_that_ends_while_the_store_is_away_is_kept(away: Umbel, link: Proxy) -> None:
    """Its retry, its chain's next step: Celery would reject the job for want of a connection."""

    @away.task(bind=True, shared=False)
    def again(self: Any) -> None: ...

    followers: list[Outgoing] = []

    def end() -> None:
        with publishing_into(followers):
            again.apply_async(expires=600)

    ending = threading.Thread(target=end)
    ending.start()
    ending.join(1.0)
    assert ending.is_alive(), "it waits for the store"
    link.mend()
    ending.join(60.0)
    assert len(followers) == 1


def test_c14_a_retry_that_could_not_be_sent_runs_the_job_again(away: Umbel) -> None:
    """Where it is sent at once, as in a child of prefork; Celery drops the job."""

    @away.task(bind=True, shared=False)
    def again(self: Any) -> None:
        self.retry(countdown=1)

    again.push_request(called_directly=False, id="a", delivery_info={}, args=(), kwargs={})
    with pytest.raises(Reject) as caught:
        again.run()
    again.pop_request()
    assert caught.value.requeue


def test_c14_a_dispatch_that_may_have_arrived_is_not_called_unsent_because_a_later_try_was_refused(
    engine: RedisEngine, link: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Kombu sends it again, under another name."""
    answer = engine.store.answer

    def unanswered(line: Any, name: str, arguments: tuple[Any, ...]) -> Any:
        found = answer(line, name, arguments)
        if name == "enqueue":
            link.cut("reset")
            raise RedisConnectionError("Connection closed by server.")
        return found

    monkeypatch.setattr(engine.store, "answer", unanswered)
    with pytest.raises(StoreUnreachable) as caught:
        engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    assert caught.value.unsure
