"""C34 on RabbitMQ: the shares of a queue stand in its lanes, which workers take from in turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import amqp
import pytest

from tests.integration.on_rabbit.conftest import WAIT, Start, children, lines, umbel_command, until
from tests.rabbit import RabbitServer
from umbel import Settings, Umbel
from umbel.engine.fairness import SHARE
from umbel.engine.lanes import LANES, due_of, lane_of
from umbel.engine.rabbit import RabbitEngine
from umbel.engine.rabbit_lanes import parts_of
from umbel.engine.registry import open_state
from umbel.engine.store import Delivery, Outgoing, QueueStatus, Settled
from umbel.errors import StoreError
from umbel.testing.contract._suite import payload

QUEUE: Final = "shared"
MANY: Final = 3000

Open = Callable[[], RabbitEngine]


@pytest.fixture(scope="module")
def host(rabbit_server: RabbitServer) -> str:
    """The URL of a virtual host that the tests here share: to make a queue and its lanes takes a second."""
    return rabbit_server.new_url()


@pytest.fixture
def beside(redis_url: str) -> str:
    """The state store: what it does is in its own contract."""
    return redis_url


@pytest.fixture
def open_engine(host: str, beside: str) -> Iterator[Open]:
    """Open an engine as another process would."""
    opened: list[RabbitEngine] = []

    def run() -> RabbitEngine:
        opened.append(RabbitEngine(host, open_state(beside)))
        return opened[-1]

    emptied(run())
    yield run
    for one in opened:
        one.close()


@pytest.fixture
def engine(open_engine: Open) -> RabbitEngine:
    """A process with four slots."""
    engine = open_engine()
    engine.open_lease("here@test", [QUEUE], 4)
    return engine


def emptied(engine: RabbitEngine) -> RabbitEngine:
    """Let nothing be left of the test before."""
    for name in (QUEUE, *parts_of(QUEUE)):
        engine.post.purge(name)
    return engine


def put(engine: RabbitEngine, share: str, count: int = 1, *, first: int = 0, **how: Any) -> list[str]:
    """Queue messages of a share, whose ids begin with its name; those of ``plain`` have none."""
    names = [f"{share}-{number}" for number in range(first, first + count)]
    headers: dict[str, Any] = {SHARE: share} if share != "plain" else {}
    if "due" in how:
        headers["eta"] = datetime.fromtimestamp(how["due"], UTC).isoformat()
    engine.enqueue([Outgoing(QUEUE, payload(one, **headers), one, **how) for one in names])
    return names


def fetched(engine: RabbitEngine, limit: int = 4, *, suspects: bool = False) -> list[Delivery]:
    """Fetch something."""
    found: list[Delivery] = []

    def look() -> bool:
        found.extend(engine.fetch({QUEUE: 0}, limit, suspects=suspects))
        return bool(found) or (engine.wait(0.02) and False)

    until(look, "a message")
    return found


def drained(engine: RabbitEngine, count: int, limit: int = 4) -> list[str]:
    """Fetch and settle ``count`` messages; return their ids in the order in which they would start."""
    found: list[str] = []
    while len(found) < count:
        batch = fetched(engine, min(limit, count - len(found)))
        engine.settle([Settled(one.seq, "ack") for one in batch])
        found += [str(one.task_id) for one in batch]
    return found


def status(engine: RabbitEngine) -> QueueStatus:
    return next(one for one in engine.queues() if one.name == QUEUE)


def shares(names: list[str]) -> list[str]:
    return [name.partition("-")[0] for name in names]


@pytest.mark.parametrize("store", ["redis_url", "postgres_state_url"])
def test_c34_the_many_of_one_do_not_delay_the_ones_of_others(
    store: str, host: str, request: pytest.FixtureRequest
) -> None:
    """Twenty others: fifteen have lanes of their own, five meet one of those there."""
    engine = RabbitEngine(host, open_state(request.getfixturevalue(store)))
    emptied(engine).open_lease("here@test", [QUEUE], 4)
    try:
        _many_and_ones(engine)
    finally:
        engine.close()


def _many_and_ones(engine: RabbitEngine) -> None:
    put(engine, "many", MANY)
    before = drained(engine, 8)
    others = [name for number in range(20) for name in put(engine, f"one{number}")]
    order = drained(engine, 60)
    assert shares(before) == ["many"] * 8
    assert max(order.index(name) for name in others) <= 4 + 2 * LANES, order
    assert [name for name in order if name not in others] == [f"many-{number}" for number in range(8, 48)]
    assert status(engine).ready + status(engine).leased <= MANY - 48


def test_c34_those_without_a_key_are_one_line_more(engine: RabbitEngine) -> None:
    put(engine, "plain", 200)
    put(engine, "a", 200)
    put(engine, "b", 200)
    drained(engine, 30)
    counts = Counter(shares(drained(engine, 150, 1)))
    assert min(counts.values()) >= 25, counts
    assert set(counts) == {"plain", "a", "b"}


def test_c34_depth_purge_and_pause_know_the_lanes(engine: RabbitEngine) -> None:
    put(engine, "a", 3)
    put(engine, "b", 2)
    put(engine, "plain", 1)
    put(engine, "b", 1, first=9, due=time.time() + 3600)
    assert (status(engine).ready, status(engine).delayed) == (6, 1)
    assert engine.names.size(QUEUE) == 6
    engine.pause(QUEUE)
    engine._renewed = 0.0
    assert engine.fetch({QUEUE: 0}, 4) == []
    assert engine.purge(QUEUE) == 7
    assert status(engine).ready == 0
    engine.resume(QUEUE)
    put(engine, "c", 1)
    engine._renewed = 0.0
    assert drained(engine, 1) == ["c-0"]


def test_c34_a_purge_by_celerys_own_means_knows_the_lanes(engine: RabbitEngine, host: str, beside: str) -> None:
    put(engine, "a", 2)
    app = Umbel("client", broker=host, settings=Settings(state_url=beside), set_as_current=False)
    app.conf.task_default_queue = QUEUE
    try:
        assert app.control.purge() == 2
    finally:
        app.engine.close()
        app.close()
    assert status(engine).ready == 0


def test_what_was_refused_is_asked_for_again(engine: RabbitEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    put(engine, "plain", 1)
    intake = engine._intake
    assert intake is not None
    with monkeypatch.context() as broken:
        broken.setattr(intake, "_declare", lambda *_: engine.post.ask(_refuse))
        with pytest.raises(StoreError, match="refused"):
            engine.fetch({QUEUE: 0}, 4)
    assert drained(engine, 1) == ["plain-0"]


def _refuse(_: Any) -> None:
    raise amqp.exceptions.ResourceLocked("as told")


def test_c35_what_the_broker_drops_of_a_lane_is_a_letter_of_its_queue(engine: RabbitEngine) -> None:
    put(engine, "a", 1)
    engine.close_lease()
    (dropped,) = engine.post.take(lane_of(QUEUE, 0), 1)
    death = {"queue": lane_of(QUEUE, 0), "reason": "maxlen"}
    dropped.properties["application_headers"]["x-death"] = [death]
    engine._on_dead(dropped)
    assert [(letter.task_id, letter.queue) for letter in engine.dead()] == [("a-0", QUEUE)]


def test_c16_what_comes_due_gets_its_lane_when_it_comes(engine: RabbitEngine) -> None:
    due = time.time() + 1.5
    put(engine, "b", due=due)
    put(engine, "a", MANY)
    until(lambda: engine.post.sizes([due_of(QUEUE)])[due_of(QUEUE)][0] == 1, "it has come")
    intake = engine._intake
    assert intake is not None
    until(lambda: engine.fetch({QUEUE: 0}, 0) == [] and len(intake._arrived.sources()) == 2, "it has a lane")
    until(lambda: time.time() > due, "it is due")
    order = drained(engine, 8, 1)
    assert order.index("b-0") <= 1, order
    assert engine.post.sizes([due_of(QUEUE)])[due_of(QUEUE)][0] == 0


def test_c34_what_comes_back_is_of_its_line(engine: RabbitEngine) -> None:
    names = put(engine, "a", 6)
    engine.settle([Settled(one.seq, "requeue") for one in fetched(engine)])
    assert sorted(drained(engine, 6)) == names
    tired = put(engine, "b")
    for _ in range(12):  # it is published anew meanwhile
        engine.settle([Settled(one.seq, "requeue") for one in fetched(engine)])
    engine.close_lease()
    until(lambda: status(engine).ready == 1, "it is back")
    assert engine.post.sizes([QUEUE])[QUEUE][0] == 0
    engine.open_lease("here@test", [QUEUE], 4)
    assert drained(engine, 1) == tired


def test_c14_c17_what_a_dead_process_held_goes_back_and_who_was_suspected_runs_alone(
    engine: RabbitEngine, open_engine: Open
) -> None:
    peer = open_engine()
    peer.open_lease("peer@test", [QUEUE], 4)
    put(engine, "a", 2)
    held = fetched(peer, 2)
    if len(held) < 2:
        held += fetched(peer, 1)
    peer.started(held[0].seq)
    token = peer._token()
    peer.post.line.close()
    intake = peer._intake
    assert intake is not None
    intake.line.close()  # as the kernel would
    assert engine.state.release(token, crash_limit=3, crashed=True, started=[held[0].seq]) == 2
    peer._lease = None
    assert drained(engine, 1) == ["a-1"]
    assert engine.fetch({QUEUE: 0}, 1) == []
    (alone,) = fetched(engine, 1, suspects=True)
    assert (alone.task_id, alone.queue, alone.suspect) == ("a-0", QUEUE, True)
    engine.settle([Settled(alone.seq, "ack")])
    assert (status(engine).ready, status(engine).suspect, status(engine).leased) == (0, 0, 0)


def test_c34_a_process_that_is_busy_for_long_lets_others_have_what_it_holds(
    engine: RabbitEngine, open_engine: Open
) -> None:
    names = put(engine, "a", 8)
    busy = fetched(engine, 1)
    drained(engine, 3)
    names += put(engine, "b", 2)
    until(lambda: status(engine).ready <= 1, "more is here than can be started")
    peer = open_engine()
    peer.open_lease("peer@test", [QUEUE], 4)
    left = set(names[4:])

    def look() -> bool:
        engine.wait(0.01, full=True)
        batch = peer.fetch({QUEUE: 0}, 4)
        peer.settle([Settled(one.seq, "ack") for one in batch])
        left.difference_update(str(one.task_id) for one in batch)
        return not left

    until(look, "the other one has had all")
    assert status(engine).consumers == 2, "it is no queue without a consumer"
    engine.settle([Settled(one.seq, "ack") for one in busy])
    peer.close_lease()
    put(engine, "c", 1)
    assert drained(engine, 1) == ["c-0"], "it consumes again"
    put(engine, "d", 8)
    held: list[Delivery] = []
    while len(held) < 4:  # none of them is settled: it is sent as many as it has slots
        held += fetched(engine, 1)


@pytest.mark.parametrize("state_url", ["redis"], indirect=True)
def test_c14_c18_c34_a_killed_process_doubles_only_what_it_ran_and_its_lanes_are_free(
    umbel: Umbel, start: Start, tmp_path: Path
) -> None:
    engine = umbel.engine
    assert isinstance(engine, RabbitEngine)
    trail = tmp_path / "trail"
    headers = [{SHARE: "a" if number % 4 else f"b{number}"} for number in range(60)]
    sent = [
        umbel.send_task("shared.mark", (str(trail), 0.05), headers=one, queue=QUEUE, ignore_result=True).id
        for one in headers
    ]
    worker = start(*umbel_command("-Q", QUEUE, processes=2))
    until(lambda: lines(trail).count("end") >= 10, "some have ended")
    children(worker)[0].kill()
    until(lambda: all(umbel.engine.locate(one) is None for one in sent), "all have ended", 2 * WAIT)
    ended, begun = lines(trail).count("end"), len(lines(trail)) - lines(trail).count("end")
    assert len(sent) <= ended <= len(sent) + 4
    assert begun <= len(sent) + 4
    assert status(engine).ready == status(engine).leased == status(engine).suspect == 0
    engine.state.lanes.look_seconds = 0.0
    for _ in range(2):
        engine.lanes.sweep()
    engine.state.lanes.look_seconds = 3600.0
    assert engine.state.lanes.place(QUEUE, {"new": 1000, "newer": 1}) == [0, 1], "nobody has a lane"
