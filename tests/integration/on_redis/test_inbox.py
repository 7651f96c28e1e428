"""C14, C22: what the server moves to a process that waits is begun with at once, and not lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions

from tests.integration.engine.test_fetcher import Hub
from tests.integration.on_redis.server import Server
from umbel.engine.fetcher import Fetcher
from umbel.engine.flusher import Flusher
from umbel.engine.redis import RedisEngine
from umbel.engine.store import Delivery, Outgoing, Record, Settled
from umbel.errors import StoreUnreachable
from umbel.testing.contract._peer import Peer
from umbel.testing.contract._suite import payload, until

QUEUE, OTHER = "default", "other"
QUEUES = {QUEUE: 0, OTHER: 0}
LONG = 600.0
#: Those that were moved have numbers of this process's own.
OWN = 1 << 52


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("redis")) as server:
        for name, right in {"still": "blmove", "stuck": "client|unblock", "nobody": "client|id"}.items():
            server.do("ACL", "SETUSER", name, "on", ">pw", "~*", "&*", "+@all", f"-{right}")
        yield server


@pytest.fixture
def engine(server: Server) -> Iterator[RedisEngine]:
    server.do("FLUSHALL")
    with opened(server.url) as engine:
        yield engine


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


@contextlib.contextmanager
def opened(url: str) -> Iterator[RedisEngine]:
    engine = RedisEngine(url)
    engine.open_lease("here@test", list(QUEUES), 4)
    yield engine
    engine.close()


def send(engine: RedisEngine, *names: str, queue: str = QUEUE, priority: int = 0) -> None:
    engine.enqueue([Outgoing(queue, payload(name), name, priority) for name in names])


def is_blocked(server: Server) -> bool:
    return int(server.do("INFO", "clients")["blocked_clients"]) > 0


def waiting(engine: RedisEngine, server: Server, pool: ThreadPoolExecutor) -> Future[bool]:
    """Let the engine wait as an idle worker's thread does, until the server waits for a message on its behalf."""

    def wait() -> bool:
        assert engine.fetch(QUEUES, 1) == []
        while not engine.wait(LONG):
            assert engine.fetch(QUEUES, 1) == []
        return True

    future = pool.submit(wait)
    until(lambda: is_blocked(server) or future.done(), "the server waits")
    return future


def moved(engine: RedisEngine, server: Server, pool: ThreadPoolExecutor, *sent: Callable[[], object]) -> None:
    """Let all of ``sent`` happen while the engine waits, and return when it has been woken by it."""
    future = waiting(engine, server, pool)
    for one in sent:
        one()
    assert future.result(60)


def left(engine: RedisEngine, server: Server) -> tuple[int, int]:
    """How many messages wait in the queue, and how many somebody holds."""
    (status,) = [one for one in engine.queues() if one.name == QUEUE]
    return status.ready, status.leased


def ends(engine: RedisEngine, *found: Delivery) -> None:
    record = [Record(str(one.task_id), "SUCCESS", True, "{}") for one in found]
    entries = [Settled(one.seq, "ack", records=[end]) for one, end in zip(found, record, strict=True)]
    assert engine.settle(entries).refused == ()


def test_a_message_that_was_moved_is_begun_with_without_a_question(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert left(engine, server) == (0, 1), "held as soon as it is not in its queue any more"
    with monkeypatch.context() as patch:
        patch.setattr(engine.store, "run", lambda *words: pytest.fail(f"asked for {words}"))
        (found,) = engine.fetch(QUEUES, 1)
    assert (found.task_id, found.queue, found.deliveries, found.cancelled) == ("a", QUEUE, 1, False)
    assert found.seq >= OWN
    ends(engine, found)
    assert left(engine, server) == (0, 0)
    assert [key for key in server.do("KEYS", "umbel:*") if "inbox:" in key or "held:" in key] == []
    assert [one.state for one in engine.read(["a"])] == ["SUCCESS"]


def test_what_a_plain_client_sends_is_moved_as_well(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: server.do("LPUSH", QUEUE, payload("plain")))
    (found,) = engine.fetch(QUEUES, 1)
    assert (found.task_id, found.seq >= OWN) == ("plain", True)
    ends(engine, found)
    assert left(engine, server) == (0, 0)


def test_one_of_several_who_wait_is_woken(engine: RedisEngine, server: Server, pool: ThreadPoolExecutor) -> None:
    with opened(server.url) as another:
        first = waiting(engine, server, pool)
        assert another.fetch(QUEUES, 1) == []
        second = pool.submit(another.wait, LONG)
        until(lambda: int(server.do("INFO", "clients")["blocked_clients"]) == 2 or second.done(), "both wait")
        send(engine, "a")
        assert first.result(60)
        assert [one.task_id for one in engine.fetch(QUEUES, 1)] == ["a"]
        assert not second.result(60), "there is nothing for it"


def test_c22_a_job_that_was_cancelled_at_the_same_moment_is_known_to_be(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    """The word of it and the message come together."""

    def both() -> None:
        with server.client() as client, client.pipeline() as pipe:
            pipe.hset("umbel:cancelled", "a", "1.0 1").incr("umbel:cancels")
            pipe.lpush(QUEUE, payload("a").removesuffix("}") + ',"umbel":"1.0 0 0 0 a"}')
            pipe.execute()

    moved(engine, server, pool, both)
    assert [(one.task_id, one.cancelled) for one in engine.fetch(QUEUES, 1)] == [("a", True)]


def test_c22_a_job_that_was_cancelled_before_it_was_sent_is_known_to_be(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    engine.cancel("a", None)
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert [(one.task_id, one.cancelled) for one in engine.fetch(QUEUES, 1)] == [("a", True)]


def test_c22_a_job_that_was_begun_with_is_cancelled_as_a_running_one(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert len(engine.fetch(QUEUES, 1)) == 1
    mark = engine.cancel_mark()
    engine.cancel("a", None)
    until(lambda: engine.cancel_mark() != mark, "the mark changes")
    assert engine.cancelled_here() == ["a"]


@pytest.mark.parametrize("together", [False, True], ids=["before", "at the same moment"])
def test_c23_a_recorder_that_came_while_the_process_waited_is_known_of(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor, together: bool
) -> None:
    """It was told that the job was queued: it is told of its end."""

    def both() -> None:
        with server.client() as client, client.pipeline() as pipe:
            pipe.set("umbel:recorder", 1).lpush(QUEUE, payload("a")).execute()

    assert engine.fetch(QUEUES, 1) == []
    assert not engine.events.known
    if not together:
        # After the last fetch, which said that there is none.
        engine.events.expect()
        future = pool.submit(engine.wait, LONG)
        send(engine, "a")
        assert future.result(60)
    else:
        moved(engine, server, pool, both)
    assert [one.task_id for one in engine.fetch(QUEUES, 1)] == ["a"]
    assert engine.events.known


def test_nothing_comes_from_a_queue_that_was_paused_meanwhile(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: engine.pause(QUEUE), lambda: send(engine, "a", "b"))
    for _ in range(3):
        assert engine.fetch(QUEUES, 1) == []
        engine.wait(0.1)
    assert left(engine, server) == (2, 0)
    engine.resume(QUEUE)
    assert [one.task_id for one in engine.fetch(QUEUES, 2)] == ["a", "b"], "in their order"


def test_what_waits_elsewhere_ends_the_wait_and_nothing_is_moved_after_it(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: send(engine, "urgent", priority=9))
    server.do("CONFIG", "RESETSTAT")
    assert [one.task_id for one in engine.fetch(QUEUES, 1)] == ["urgent"]
    assert not is_blocked(server)
    assert "cmdstat_client|unblock" in server.do("INFO", "commandstats"), "and did not last until its time was over"
    send(engine, "a")
    assert left(engine, server) == (1, 1)


def test_a_process_without_a_free_slot_is_moved_nothing(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    future = waiting(engine, server, pool)
    engine.ring()
    assert future.result(60)
    engine.wait(0.01, full=True)
    assert not is_blocked(server)
    moved(engine, server, pool, lambda: send(engine, "a", "b"))
    engine.wait(0.01, full=True)
    assert left(engine, server) == (2, 0), "what it was moved before went back"
    assert [one.task_id for one in engine.fetch(QUEUES, 2)] == ["a", "b"], "in their order"


def test_a_process_in_which_a_job_runs_is_moved_nothing(
    engine: RedisEngine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job may keep the interpreter to itself, and what was moved would wait for it."""
    waits: list[tuple[bool, bool]] = []
    wait = engine.wait

    def noting(seconds: float, *, full: bool = False, busy: bool = False) -> bool:
        woken = wait(seconds, full=full, busy=busy)
        waits.append((busy, engine._listener is not None and engine._listener.move is not None))
        return woken

    monkeypatch.setattr(engine, "wait", noting)
    flusher = Flusher(engine)
    fetcher = Fetcher(engine, flusher, slots=lambda: 2, suspects="never")
    fetcher.consume([QUEUE], [])
    fetcher.start(Hub(), lambda _: None, lambda: None)
    try:
        send(engine, "runs")
        until(lambda: left(engine, server) == (0, 1), "it is given out")
        until(lambda: any(busy for busy, _ in waits), "the process waits for another one")
        assert (True, True) not in waits
        send(engine, "a")
        until(lambda: left(engine, server) == (0, 2), "it is woken all the same")
    finally:
        fetcher.stop()
        flusher.stop()


def test_c14_what_was_moved_to_a_process_that_died_before_it_began_goes_back(
    engine: RedisEngine, server: Server
) -> None:
    with Peer(server.url, *QUEUES) as peer:
        peer.call("fetch", QUEUES, 1)
        peer.ask("wait", LONG)
        until(lambda: is_blocked(server), "the server waits")
        # It stands still with what it is moved, as one does that is about to begin.
        peer.pause()
        send(engine, "a", "b")
        until(lambda: left(engine, server) == (1, 1), "one is moved")
        peer.kill()
    until(lambda: engine.reap() or left(engine, server) == (2, 0), "it is back")
    found = engine.fetch(QUEUES, 2)
    assert [(one.task_id, one.deliveries) for one in found] == [("a", 2), ("b", 1)], "at the head"


def test_c15_a_job_that_kills_its_process_is_suspected_of_it(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    with Peer(server.url, *QUEUES) as peer:
        peer.call("fetch", QUEUES, 1)
        peer.ask("wait", LONG)
        until(lambda: is_blocked(server), "the server waits")
        send(engine, "a")
        assert peer.answer()
        (found,) = peer.call("fetch", QUEUES, 1)
        assert found.seq >= OWN
        peer.call("started", found.seq)
        peer.kill()
    until(lambda: engine.reap() or engine.suspects(), "it is cleaned up")
    assert engine.suspects() == 1
    assert [one.deliveries for one in engine.fetch(QUEUES, 1, suspects=True)] == [2]


def test_c14_a_job_that_was_begun_with_ends_once_whatever_becomes_of_the_connection(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    (found,) = engine.fetch(QUEUES, 1)
    server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    # What it knows is asked for anew after an answer that was lost.
    engine._intake.doubtful = True
    with pytest.raises(StoreUnreachable):
        engine.fetch(QUEUES, 1)
    assert engine.fetch(QUEUES, 1) == []
    ends(engine, found)
    assert left(engine, server) == (0, 0)
    entry = Settled(found.seq, "ack")
    assert engine.settle([entry]).refused == (entry,)


@pytest.mark.parametrize("known", [True, False], ids=["one it knew", "one it did not hear of"])
def test_c14_after_an_answer_that_was_lost_no_inbox_of_before_is_used(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if known:
        future = waiting(engine, server, pool)
        engine.ring()
        assert future.result(60)
    else:
        # The fetch after one that was begun with opens the next.
        moved(engine, server, pool, lambda: send(engine, "first"))
        ends(engine, *engine.fetch(QUEUES, 1))
    ask = engine.store.run

    def unanswered(*words: Any, **options: Any) -> None:
        ask(*words, **options)
        raise StoreUnreachable("redis://test", "cut")

    with monkeypatch.context() as patch:
        patch.setattr(engine.store, "run", unanswered)
        with pytest.raises(StoreUnreachable):
            engine.fetch(QUEUES, 1)
    before = set(server.do("HKEYS", "umbel:inboxes"))
    assert len(before) == 1
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert before.isdisjoint(server.do("HKEYS", "umbel:inboxes")), "it is open still"
    (found,) = engine.fetch(QUEUES, 1)
    assert found.seq >= OWN
    ends(engine, found)
    assert left(engine, server) == (0, 0)


def test_a_job_that_was_begun_with_is_put_back(engine: RedisEngine, server: Server, pool: ThreadPoolExecutor) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    (found,) = engine.fetch(QUEUES, 1)
    assert engine.settle([Settled(found.seq, "keep", records=[Record("a", "STARTED", False, "{}")])]).refused == ()
    assert engine.settle([Settled(found.seq, "requeue")]).refused == ()
    assert [(one.task_id, one.deliveries) for one in engine.fetch(QUEUES, 1)] == [("a", 2)]


def test_c14_a_process_may_be_moved_a_message_before_the_last_one_has_ended(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    """The end is on its way to the server: another thread says it."""
    found = []
    for name in ("a", "b", "c"):
        moved(engine, server, pool, lambda name=name: send(engine, name))  # type: ignore[misc]
        found += engine.fetch(QUEUES, 1)
    assert [one.seq >= OWN for one in found] == [True, True, True]
    ends(engine, found[1])
    assert left(engine, server) == (0, 2)
    assert engine._lease is not None
    with opened(server.url) as other:
        other._release(engine._lease.token, crashed=False)
        assert [one.task_id for one in other.fetch(QUEUES, 3)] == ["a", "c"]


def test_c14_a_server_that_has_forgotten_an_inbox_is_told_of_another(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    """It lost its last second when it died, or another one is the master now."""
    assert engine.fetch(QUEUES, 1) == []
    assert not engine.wait(0.1)
    assert engine.fetch(QUEUES, 1) == []
    assert engine._listener is not None
    engine._listener.drop()
    server.do("DEL", "umbel:inboxes")
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert left(engine, server) == (0, 1)


@pytest.mark.parametrize("asked", [True, False], ids=["while it was asked for", "after it"])
def test_c14_what_was_under_way_when_a_connection_was_given_up_goes_back(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor, asked: bool
) -> None:
    """The server does what it was asked for, an hour late, and nobody hears of it any more."""
    future = waiting(engine, server, pool)
    engine.ring()
    assert future.result(60)
    if not asked:
        assert engine.fetch(QUEUES, 1) == []
    listener, late = engine._listener, engine._intake._inbox
    assert listener is not None
    assert late is not None
    listener.drop()
    assert engine.fetch(QUEUES, 1) == []
    assert not engine.wait(0.1)
    assert engine._intake._inbox not in (late, None)
    assert engine.fetch(QUEUES, 1) == [], "and nothing is asked for any more"
    send(engine, "a", "b")
    for _ in range(2):
        assert server.do("BLMOVE", late.source, late.inbox, "RIGHT", "LEFT", "1")
    assert engine._lease is not None
    token = engine._lease.token
    until(lambda: engine.renew([token]) or left(engine, server) == (2, 0), "it is swept")
    assert [one.task_id for one in engine.fetch(QUEUES, 2)] == ["a", "b"], "in their order"


def test_c14_what_came_over_a_connection_that_was_given_up_goes_back_though_nobody_waits_again(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert engine._listener is not None
    engine._listener.drop()
    engine.wait(0.01, full=True)
    assert left(engine, server) == (1, 0)


def test_a_message_is_not_begun_with_from_a_queue_that_is_left_meanwhile(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert engine.fetch({OTHER: 0}, 1) == []
    assert left(engine, server) == (1, 0)


def test_who_waits_again_finds_what_has_arrived(engine: RedisEngine, server: Server, pool: ThreadPoolExecutor) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert engine.wait(LONG)
    (found,) = engine.fetch(QUEUES, 1)
    assert (found.task_id, found.seq >= OWN) == ("a", True)
    ends(engine, found)


def test_c14_a_process_whose_lease_has_ended_takes_nothing_over(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    """Others took it for dead: what it was moved is theirs."""
    moved(engine, server, pool, lambda: send(engine, "a"))
    with opened(server.url) as other:
        assert engine._lease is not None
        other._release(engine._lease.token, crashed=False)
        (found,) = engine.fetch(QUEUES, 1)
        entry = Settled(found.seq, "ack", records=[Record("a", "SUCCESS", True, "{}")])
        assert engine.settle([entry]).refused == (entry,)
        assert [one.task_id for one in other.fetch(QUEUES, 1)] == ["a"]
        assert engine.fetch(QUEUES, 1) == []


def test_what_came_last_stands_behind_what_was_held(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    send(engine, "a")
    assert [one.task_id for one in engine.fetch(QUEUES, 1)] == ["a"]
    moved(engine, server, pool, lambda: send(engine, "b"))
    with opened(server.url) as other:
        assert engine._lease is not None
        other._release(engine._lease.token, crashed=False)
        assert [one.task_id for one in other.fetch(QUEUES, 2)] == ["a", "b"]


@pytest.mark.parametrize("user", ["still", "stuck", "nobody"])
def test_who_may_not_ask_for_it_is_told_and_fetches(
    server: Server, pool: ThreadPoolExecutor, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.do("FLUSHALL")
    with opened(server.url.replace("://", f"://{user}:pw@")) as engine:
        assert engine.fetch(QUEUES, 1) == []
        engine.wait(0.1)
        future = pool.submit(engine.wait, LONG)
        send(engine, "a")
        future.result(60)
        (found,) = engine.fetch(QUEUES, 1)
        assert (found.task_id, found.seq < OWN) == ("a", True)
    assert "pw" not in caplog.text


def test_a_full_server_moves_nothing_and_is_fetched_from(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with Server(tmp_path / "redis", maxmemory_policy="noeviction") as server, opened(server.url) as engine:
        send(engine, "a")
        server.do("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(exceptions.OutOfMemoryError):
            server.do("SET", "x", "y")
        until(lambda: [one.task_id for one in engine.fetch(QUEUES, 1)] == ["a"], "it is fetched")
        engine.wait(0.1)
        assert engine.fetch(QUEUES, 1) == []
        server.do("CONFIG", "SET", "maxmemory", "0")
        future = pool.submit(engine.wait, LONG)
        send(engine, "b")
        future.result(60)
        assert [one.task_id for one in engine.fetch(QUEUES, 1)] == ["b"]


def test_a_lease_that_is_closed_leaves_nothing_behind(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    engine.close_lease()
    assert not is_blocked(server)
    assert left(engine, server) == (1, 0)


def test_c14_an_inbox_whose_lease_was_ended_by_an_older_version_is_swept(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    moved(engine, server, pool, lambda: send(engine, "a"))
    assert engine._lease is not None
    for name in ("leases", "epochs"):
        server.do("HDEL", f"umbel:{name}", engine._lease.token)
    with opened(server.url) as other:
        assert other._lease is not None
        token = other._lease.token
        until(lambda: other.renew([token]) or left(other, server) == (1, 0), "it is swept")
        assert [one.task_id for one in other.fetch(QUEUES, 1)] == ["a"]


def test_who_takes_from_no_queue_any_more_gives_back_what_was_moved(
    engine: RedisEngine, server: Server, pool: ThreadPoolExecutor
) -> None:
    flusher = Flusher(engine)
    fetcher = Fetcher(engine, flusher, slots=lambda: 1, suspects="never")
    fetcher.consume([QUEUE], [])
    fetcher.start(Hub(), lambda _: None, lambda: None)
    try:
        until(lambda: is_blocked(server), "the server waits")
        fetcher.consume([], [])
        until(lambda: not is_blocked(server), "it waits no more")
        send(engine, "a")
        assert left(engine, server) == (1, 0)
    finally:
        fetcher.stop()
        flusher.stop()
