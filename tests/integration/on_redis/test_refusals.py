"""C14: what a Redis refuses in a bad hour is said in one sentence, and nothing is lost by it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from tests.integration.on_redis.server import Server
from tests.integration.worker.plant import planted, until
from umbel import JobState
from umbel.cli.checks import check_redis
from umbel.engine.redis import RedisEngine
from umbel.engine.store import Outgoing, Record, Settled
from umbel.errors import ConfigurationError, StoreError, StoreFull, StoreReadOnly, StoreUnreachable
from umbel.testing.contract._suite import payload

QUEUE = "default"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "redis", enable_debug_command="yes") as server:
        yield server


@pytest.fixture
def engine(server: Server) -> Iterator[RedisEngine]:
    engine = RedisEngine(server.url)
    engine.open_lease("here@test", [QUEUE], 4)
    yield engine
    engine.close()


def put(engine: RedisEngine, *names: str) -> None:
    engine.enqueue([Outgoing(QUEUE, payload(name), name) for name in names])


def refused(engine: RedisEngine, kind: type[StoreError], words: str) -> None:
    """A dispatch is refused with one sentence of a certain kind."""
    with pytest.raises(kind, match=words) as caught:
        put(engine, "refused")
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text


def until_accepted(engine: RedisEngine) -> None:
    def accepted() -> bool:
        try:
            put(engine, "accepted")
        except StoreError:
            return False
        return True

    until(accepted, "a server that accepts")


@pytest.fixture
def full(server: Server, engine: RedisEngine) -> Iterator[None]:
    """Four jobs wait, and the memory is full."""
    put(engine, "a", "b", "c", "d")
    server.do("CONFIG", "SET", "maxmemory", "1000000")
    yield
    server.do("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.usefixtures("full")
def test_a_full_server_takes_nothing_new_and_lets_everything_end(server: Server, engine: RedisEngine) -> None:
    refused(engine, StoreFull, "full .maxmemory.*lost")
    assert engine.names.size(QUEUE) == 4, "nothing of it was stored"
    first, second = engine.fetch({QUEUE: 0}, 2)
    record = Record("a", "SUCCESS", True, "{}", since=first.enqueued)
    follower = Outgoing(QUEUE, payload("next"), "next")
    assert engine.settle([Settled(first.seq, "ack", records=[record], outgoing=[follower])]).refused == ()
    assert engine.settle([Settled(second.seq, "requeue")]).refused == ()
    assert engine.read(["a"])[0].state == "SUCCESS"
    assert engine.cancel("c", Record("c", "REVOKED", True, "{}"))
    engine.pause(QUEUE)
    engine.resume(QUEUE)
    engine.renew([])
    # A worker ends, with what it holds, and another one starts.
    assert len(engine.fetch({QUEUE: 0}, 2)) == 2
    engine.close_lease()
    engine.open_lease("again@test", ["other"], 4)
    engine.names.declare("reply", transient=True)
    engine.names.bind("exchange", "", "", "reply")
    assert [found.task_id for found in engine.fetch({QUEUE: 0}, 9)] == ["b", "c", "d", "next"]


@pytest.mark.usefixtures("full")
def test_a_worker_empties_a_full_server(tmp_path: Path, server: Server, engine: RedisEngine) -> None:
    engine.purge(QUEUE)
    server.do("CONFIG", "SET", "maxmemory", "0")
    (tmp_path / "plant").mkdir()
    with planted(tmp_path / "plant", server.url) as plant:
        jobs = plant.send_many("say", [f"w{number}" for number in range(300)])
        server.do("CONFIG", "SET", "maxmemory", "1000000")
        plant.start("--loglevel", "WARNING")
        until(plant.empty, "an empty queue")
        assert {plant.state(job) for job in jobs} == {JobState.SUCCEEDED}


def demote(server: Server) -> Callable[[], object]:
    server.do("REPLICAOF", "127.0.0.1", "1")
    return lambda: server.do("REPLICAOF", "NO", "ONE")


def want_replicas(server: Server) -> Callable[[], object]:
    server.do("CONFIG", "SET", "min-replicas-to-write", "1")
    return lambda: server.do("CONFIG", "SET", "min-replicas-to-write", "0")


def fail_to_save(server: Server) -> Callable[[], object]:
    server.do("CONFIG", "SET", "save", "3600 1")
    shutil.rmtree(server.folder)
    server.do("BGSAVE")
    until(lambda: server.do("INFO", "persistence")["rdb_last_bgsave_status"] == "err", "a save that failed")
    return lambda: server.do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")


@pytest.mark.parametrize(
    ("make", "words"),
    [(demote, "has become a replica"), (want_replicas, "min-replicas-to-write"), (fail_to_save, "MISCONF")],
)
def test_a_server_that_takes_no_writes(
    server: Server, engine: RedisEngine, make: Callable[[Server], Callable[[], object]], words: str
) -> None:
    put(engine, "a")
    (held,) = engine.fetch({QUEUE: 0}, 1)
    undo = make(server)
    refused(engine, StoreReadOnly, words)
    with pytest.raises(StoreReadOnly):
        engine.settle([Settled(held.seq, "ack")])
    undo()
    assert engine.names.size(QUEUE) == 0, "nothing of it was stored"
    until_accepted(engine)
    assert engine.settle([Settled(held.seq, "ack")]).refused == ()


def test_a_server_that_is_busy_with_a_script(server: Server, engine: RedisEngine) -> None:
    server.do("CONFIG", "SET", "lua-time-limit", "10")

    def block() -> None:
        with server.client() as client, pytest.raises(RedisError):
            client.eval("while true do end", 0)

    blocker = threading.Thread(target=block)
    blocker.start()

    def is_busy() -> bool:
        try:
            put(engine, "refused")
        except StoreUnreachable as error:
            return "busy with a script" in str(error)
        return False

    until(is_busy, "a sentence about the script")
    # A new connection is greeted in the same way.
    engine.store.close()
    with pytest.raises(StoreUnreachable):
        put(engine, "refused")
    server.do("SCRIPT", "KILL")
    blocker.join()
    until_accepted(engine)


def test_a_server_that_loads_its_data(server: Server, engine: RedisEngine) -> None:
    server.do("DEBUG", "POPULATE", "3000")
    server.do("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
    server.do("CONFIG", "SET", "key-load-delay", "300")
    put(engine, "a")

    def reload() -> None:
        server.do("DEBUG", "RELOAD")

    reloader = threading.Thread(target=reload)
    reloader.start()
    said: list[str] = []
    while reloader.is_alive():
        try:
            put(engine, "more")
        except StoreError as error:
            said.append(str(error))
    assert any("it is loading its data" in text for text in said), said
    until_accepted(engine)
    assert engine.fetch({QUEUE: 0}, 1)[0].task_id == "a"


def test_a_server_that_has_enough_clients(server: Server, engine: RedisEngine) -> None:
    put(engine, "a")
    server.do("CONFIG", "SET", "maxclients", "1")
    other = RedisEngine(server.url)
    with pytest.raises(StoreUnreachable, match="maxclients|max number of clients"):
        put(other, "refused")
    # Those that are connected already go on.
    assert [found.task_id for found in engine.fetch({QUEUE: 0}, 9)] == ["a"]
    other.close()


def test_a_server_that_is_too_old_is_refused_by_what_it_cannot_do(tmp_path: Path) -> None:
    with Server(tmp_path / "old", rename_command="RPOP ABSENT") as server:
        engine = RedisEngine(server.url)
        with pytest.raises(ConfigurationError, match=r"Redis 6\.2, Valkey 7\.2, or newer"):
            engine.check()
        engine.close()


def test_scripts_that_are_forgotten_all_the_time(server: Server, engine: RedisEngine) -> None:
    done = threading.Event()

    def forget() -> None:
        with server.client() as client:
            while not done.is_set():
                client.script_flush()

    forgetter = threading.Thread(target=forget)
    forgetter.start()
    try:
        for number in range(200):
            put(engine, str(number))
            (held,) = engine.fetch({QUEUE: 0}, 1)
            assert engine.settle([Settled(held.seq, "ack")]).refused == ()
    finally:
        done.set()
        forgetter.join()


def test_a_promoted_replica_that_lags_never_numbers_two_messages_alike(server: Server, engine: RedisEngine) -> None:
    """The end of a job that the new master does not know must not settle another one."""
    put(engine, "a", "b")
    (lost,) = engine.fetch({QUEUE: 0}, 1)
    # As the replica had it: the message waits, and the last numbers have not been given.
    with server.client() as client:
        client.delete(engine.store.key(f"held:{engine.leases.all()[0].token}"))
        client.decr(engine.store.key("seq"), 100)
    time.sleep(0.001)
    (other,) = engine.fetch({QUEUE: 0}, 1)
    assert other.seq > lost.seq
    assert engine.settle([Settled(lost.seq, "ack")]).refused != ()
    assert engine.settle([Settled(other.seq, "ack")]).refused == ()


def test_doctor_says_that_keys_are_thrown_away(server: Server, engine: RedisEngine) -> None:
    assert [finding.level for finding in check_redis(engine.server_settings())] == ["note"]
    server.do("CONFIG", "SET", "maxmemory", "100mb")
    server.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    problem, _ = check_redis(engine.server_settings())
    assert problem.level == "problem"
    assert "allkeys-lru" in problem.text
