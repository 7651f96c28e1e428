"""C14: a move that is cut off anywhere, any number of times, and completed, loses nothing and doubles nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umbel.engine.batches import DONE, MemberEnd, Plan
from umbel.engine.burial import letter_of
from umbel.engine.move import move
from umbel.engine.moving import Moving
from umbel.engine.redis import RedisEngine
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import ChordPart, Engine, Outgoing, Record, Settled
from umbel.errors import MoveRefused
from umbel.state.effects import Claimant, Standing
from umbel.testing.contract._suite import payload

QUEUES = ("default", "email")
LATER = 4_000_000_000.0


class Cut(Exception):
    """The process was killed here."""


class Cutting:
    """A store's side of a move whose calls are counted; at one of them the process dies, before it or after it."""

    def __init__(self, moving: Moving, clock: Iterator[int], cut: int) -> None:
        self._moving, self._clock, self._cut = moving, clock, cut

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._moving, name)

        def call(*args: Any) -> Any:
            self._tick()
            answer = method(*args)
            self._tick()
            return answer

        return call

    def _tick(self) -> None:
        if next(self._clock) == self._cut:
            raise Cut


class Side:
    """An engine whose side of a move may be cut off."""

    def __init__(self, engine: Engine, clock: Iterator[int], cut: int) -> None:
        self._engine = engine
        self.moving = Cutting(engine.moving, clock, cut)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def attempt(source: Engine, target: Engine, cut: int) -> bool:
    """Move until the step ``cut``; return whether the move was completed before."""
    clock = iter(range(1_000_000))
    with suppress(Cut):
        for _ in move(Side(source, clock, cut), Side(target, clock, cut), label="there", limit=5):  # type: ignore[arg-type]
            pass
        return True
    return False


class Stores:
    """Two empty stores, made anew as often as a test wants."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self._folder, self._redis, self._made = folder, redis_url, 0
        self._open: list[Engine] = []

    def pair(self, kinds: str) -> tuple[Engine, Engine]:
        self.close()
        self._made += 1
        return self._new(kinds[0]), self._new(kinds[1])

    def _new(self, kind: str) -> Engine:
        name = f"{self._made}-{len(self._open)}"
        engine: Engine
        if kind == "s":
            engine = SQLiteEngine(self._folder / f"{name}.db")
        else:
            engine = RedisEngine(self._redis, prefix=f"{name}[*]:", run=self._folder)
        self._open.append(engine)
        return engine

    def close(self) -> None:
        for engine in self._open:
            engine.close()
        self._open.clear()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, redis_server: Any) -> Iterator[Stores]:
    made = Stores(tmp_path_factory.mktemp("moving"), redis_server.url)
    yield made
    made.close()


def fill(engine: Engine) -> Counter[str]:
    """Put some of everything into a store; return the ids of its messages."""
    names = [f"job-{number}" for number in range(8)]
    engine.enqueue([Outgoing(QUEUES[number % 2], payload(one), one, number) for number, one in enumerate(names)])
    engine.enqueue([Outgoing("email", payload(one), one, due=LATER) for one in ("later-1", "later-2")])
    engine.enqueue([Outgoing("default", payload("cancelled"), "cancelled")])
    engine.cancel("cancelled", Record("cancelled", "REVOKED", True, "{}"))
    engine.enqueue([Outgoing("default", payload("member", group="g"), "member")])
    engine.groups.set_size("g", 2, LATER)
    engine.settle([Settled(parts=[ChordPart("g", "other", 0, "one", None)])])
    engine.enqueue([Outgoing("last", payload("dead"), "dead")])
    engine.open_lease("here@test", ["last"], 1)
    (held,) = engine.fetch({"last": 0}, 1)
    engine.settle([Settled(held.seq, "ack", letter_of(held, "why"))])
    engine.close_lease()
    return Counter([*names, "later-1", "later-2", "cancelled", "member", *fill_others(engine)])


MEMBERS = ("batch-1", "batch-2", "batch-3")
CALLBACKS = ("then", "finally")


def fill_others(engine: Engine) -> list[str]:
    """Begin a batch of which one member has ended, a checkpoint and effects; return the ids of messages to come."""
    for batch in ("b", "over"):
        callbacks = {kind: [Outgoing("default", payload(kind), kind)] for kind in CALLBACKS} if batch == "b" else {}
        assert engine.batches.open(Plan(id=batch, name=batch, callbacks=callbacks))
    members = [Outgoing("default", payload(one, umbel_batch="b"), one) for one in MEMBERS]
    engine.batches.add("b", members[:2])
    engine.batches.add("b", [Outgoing("gone", payload("ended", umbel_batch="b"), "ended")])
    engine.batches.add("b", members[2:])
    for batch in ("b", "over"):
        engine.batches.close(batch)
    engine.open_lease("here@test", ["gone"], 1)
    (held,) = engine.fetch({"gone": 0}, 1)
    engine.settle([Settled(held.seq, "ack", end=MemberEnd("b", "ended", DONE))])
    engine.close_lease()
    assert engine.checkpoints.take("job-1", 7) == {}
    assert engine.checkpoints.save("job-1", 7, "rows", "41")
    for name in ("paid", "doubtful"):
        engine.effects.claim(name, Claimant("job", "run", name), 60.0)
    engine.effects.complete("paid", "paid", '"receipt"', 3600.0)
    engine.effects.doubt("doubtful", "doubtful")
    return [*MEMBERS, *CALLBACKS]


def check_others(engine: Engine) -> None:
    """What else was put into a store has arrived in this one, whose messages have been drained."""
    found = engine.batches.read("b")
    assert found is not None
    assert (found.held, found.done, found.total, found.finished is None) == (False, 4, 4, False)
    assert {one.id for one in engine.batches.find(9)} == {"b", "over"}
    assert engine.checkpoints.take("job-1", 6) is None
    assert engine.checkpoints.take("job-1", 8) == {"rows": "41"}
    (doubtful,) = engine.effects.uncertain()
    assert (doubtful.name, doubtful.owner) == ("doubtful", "job")
    answer = engine.effects.claim("paid", Claimant("other", "run", "token"), 60.0)
    assert (answer.standing, answer.result) == (Standing.DONE, '"receipt"')


def drain(engine: Engine) -> Counter[str]:
    """Take everything out of a store, delayed ones included; return the ids."""
    engine.open_lease("worker@test", QUEUES, 10)
    for name in ("later-1", "later-2"):
        if engine.locate(name) is not None:
            engine.cancel(name, None)
    found = engine.fetch(dict.fromkeys(QUEUES, 0), 100)
    assert {one.task_id for one in found if one.cancelled} <= {"cancelled", "later-1", "later-2"}
    ends = {one: MemberEnd("b", one, DONE) for one in MEMBERS}
    engine.settle([Settled(one.seq, "ack", end=ends.get(str(one.task_id))) for one in found])
    engine.close_lease()
    ran = Counter(str(one.task_id) for one in found)
    return ran + drain(engine) if ran else ran


def empty(engine: Engine) -> bool:
    if engine.dead() or engine.batches.read("b") or engine.effects.uncertain() or engine.moving.held():
        return False
    return not any(q.ready or q.delayed or q.leased or q.suspect for q in engine.queues())


@pytest.mark.parametrize("kinds", ["sr", "rs", "ss", "rr"])
def test_c14_a_move_that_is_killed_at_any_step_is_completed_by_the_next(stores: Stores, kinds: str) -> None:
    # The two directions have every step of each store; where both are of a kind some will do.
    cut, done, step = 0, False, 1 if kinds in ("sr", "rs") else 5
    while not done:
        source, target = stores.pair(kinds)
        expected = fill(source)
        done = attempt(source, target, cut)
        if not done:
            assert attempt(source, target, -1)
        assert empty(source), f"cut at {cut}"
        assert [letter.reason for letter in target.dead()] == ["why"]
        assert [one.state for one in target.read(["cancelled"])] == ["REVOKED"]
        assert drain(target) == expected, f"cut at {cut}"
        check_others(target)
        last = Settled(parts=[ChordPart("g", "member", 1, "two", None)])
        assert len(target.settle([last]).complete) == 1, "the chord has lost a part"
        cut += step
    assert cut > 60


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(kinds=st.sampled_from(["sr", "rs"]), cuts=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=6))
def test_c14_many_cuts_with_a_worker_at_the_target(stores: Stores, kinds: str, cuts: list[tuple[int, bool]]) -> None:
    """Between two runs a worker takes from the target, and clients that do not know yet send to the source."""
    source, target = stores.pair(kinds)
    expected, ran = fill(source), Counter[str]()
    for number, (cut, works) in enumerate(cuts):
        attempt(source, target, cut)
        if works:
            ran += drain(target)
        source.enqueue([Outgoing("default", payload(f"new-{number}"), f"new-{number}")])
        expected[f"new-{number}"] += 1
    assert attempt(source, target, -1)
    assert empty(source)
    assert ran + drain(target) == expected
    check_others(target)


def test_two_moves_at_a_time_are_one(stores: Stores) -> None:
    """The slower one stands still with a crate in its hands while the other goes on."""
    source, target = stores.pair("sr")
    expected = fill(source)
    slow = move(source, target, label="there", limit=3)
    first = next(slow)
    for _ in move(source, target, label="there", limit=3):
        pass
    assert not target.moving.admit(first)
    source.moving.discard(first.token)
    assert list(slow) == []
    assert drain(target) == expected


@pytest.mark.parametrize("kinds", ["sr", "rs"])
def test_c8_order_is_kept_over_the_way(stores: Stores, kinds: str) -> None:
    source, target = stores.pair(kinds)
    names = [f"t{number}" for number in range(40)]
    source.enqueue([Outgoing("default", payload(one), one, 9 - number // 10) for number, one in enumerate(names)])
    before = [one.position for one in map(source.locate, names) if one]
    for _ in move(source, target, label="there", limit=7):
        pass
    assert [one.position for one in map(target.locate, names) if one] == before == list(range(40))


@pytest.mark.parametrize("kinds", ["sr", "rs", "ss", "rr"])
def test_c34_lines_are_kept_over_the_way(stores: Stores, kinds: str) -> None:
    source, target = stores.pair(kinds)
    for share, count in (("a", 20), ("b", 3)):
        names = [f"{share}{number}" for number in range(count)]
        source.enqueue([Outgoing("default", payload(one, umbel_share=share), one) for one in names])
    assert source.moving.pack(4, target.moving.identity(), "there") is not None
    assert source.moving.recall() == 4
    for _ in move(source, target, label="there", limit=7):
        pass
    assert empty(source)
    target.open_lease("worker@test", QUEUES, 10)
    found = [str(one.task_id) for one in target.fetch({"default": 0}, 8)]
    assert sum(one[0] == "b" for one in found) >= 2, found
    assert [one for one in found if one[0] == "a"] == [f"a{number}" for number in range(len(found))][
        : sum(one[0] == "a" for one in found)
    ]


def test_c45_what_comes_to_redis_has_a_tag_of_its_own(stores: Stores) -> None:
    """Plain workers keep what they hold by its tag: two of one tag would be one."""
    source, target = stores.pair("sr")
    source.enqueue([Outgoing("default", payload(one), one) for one in ("a", "b")])
    for _ in move(source, target, label="there"):
        pass
    tags = [json.loads(one.payload)["properties"]["delivery_tag"] for one in target.take("default", 2)]
    assert len({str(tag) for tag in tags}) == 2


def test_a_crate_for_one_store_is_not_sent_to_another(stores: Stores) -> None:
    source, target = stores.pair("sr")
    expected = fill(source)
    other = stores._new("s")
    while not (crate := source.moving.pack(3, target.moving.identity(), "redis://first")) or not crate.parcels:
        assert crate is not None
        source.moving.discard(crate.token)
    with pytest.raises(MoveRefused, match="A move to redis://first was interrupted, with 3 jobs"):
        next(move(source, other, label="other"))
    assert source.moving.recall() == 3
    assert drain(source) == expected


def test_a_store_is_not_moved_to_itself(stores: Stores) -> None:
    source, _ = stores.pair("sr")
    with pytest.raises(MoveRefused, match="one and the same store"):
        next(move(source, source, label="itself"))


def test_a_paused_queue_is_paused_over_there(stores: Stores) -> None:
    source, target = stores.pair("sr")
    source.pause("email")
    expected = fill(source)
    for _ in move(source, target, label="there"):
        pass
    assert [queue.name for queue in target.queues() if queue.paused] == ["email"]
    target.resume("email")
    assert drain(target) == expected


@pytest.mark.parametrize("kinds", ["sr", "rs"])
def test_c32_what_was_said_of_an_effect_over_there_stays(stores: Stores, kinds: str) -> None:
    """A move that is run again brings no doubt back."""
    source, target = stores.pair(kinds)
    fill(source)
    assert attempt(source, target, -1)
    assert target.effects.resolve("doubtful", None, 60.0)
    assert attempt(source, target, -1)
    assert target.effects.uncertain() == []
    assert source.effects.uncertain() == []


@pytest.mark.parametrize("kinds", ["sr", "rs"])
def test_c32_while_an_effect_is_being_caused_nothing_moves(stores: Stores, kinds: str) -> None:
    source, target = stores.pair(kinds)
    fill(source)
    source.effects.claim("now", Claimant("busy-job", "run", "token"), 60.0)
    with pytest.raises(MoveRefused, match=r"now by job busy-job: wait .* \d+ s for the lease"):
        next(move(source, target, label="there"))
    assert source.effects.release("now", "token")
    assert attempt(source, target, -1)
    assert [one.name for one in target.effects.uncertain()] == ["doubtful"]


@pytest.mark.parametrize("kinds", ["sr", "rs", "ss", "rr"])
def test_c14_a_batch_is_held_while_a_part_of_it_is_elsewhere(stores: Stores, kinds: str) -> None:
    """With --force: a worker at the source has a member yet; what ends over there calls nobody, nobody is given up."""
    source, target = stores.pair(kinds)
    expected = fill(source)
    source.open_lease("busy@test", ["default"], 1)
    fetched = source.fetch({"default": 0}, 100)
    (held,) = (one for one in fetched if one.task_id == "batch-1")
    source.settle([Settled(one.seq, "requeue") for one in fetched if one is not held])
    assert attempt(source, target, -1)
    assert target.batches.stale(LATER, 9) == []
    ran = drain(target)
    assert not ran.keys() & set(CALLBACKS)
    # It ends here, where nobody calls back, and what is left goes with the next run.
    source.settle([Settled(held.seq, "ack", end=MemberEnd("b", "batch-1", DONE))])
    source.close_lease()
    assert attempt(source, target, -1)
    ran["batch-1"] += 1
    assert ran + drain(target) == expected
    check_others(target)
    assert empty(source)


@pytest.mark.parametrize("kinds", ["sr", "rs"])
def test_c14_a_batch_whose_target_is_gone_goes_on_where_it_was(stores: Stores, kinds: str) -> None:
    source, target = stores.pair(kinds)
    expected = fill(source)
    cut = 0
    while not source.moving.held():
        attempt(source, target, cut)
        cut += 1
    other = stores._new("s")
    with pytest.raises(MoveRefused, match="A move to there was interrupted"):
        next(move(source, other, label="other"))
    source.moving.recall()
    assert source.moving.held() == []
    assert {one.id for one in source.batches.find(9)} == {"b", "over"}
    assert drain(source) == expected
    check_others(source)


def test_c14_a_member_that_joins_while_its_batch_is_on_its_way_comes_along(stores: Stores) -> None:
    """Clients that do not know yet go on adding at the source; the member is known over there before it can run."""
    source, target = stores.pair("sr")
    expected = fill(source)
    for crate in move(source, target, label="there", limit=3):
        if crate.batches:
            source.batches.add("b", [Outgoing("email", payload("late", umbel_batch="b"), "late")])
        if any(one.task_id == "late" for one in crate.parcels):
            assert any(("late", True) in page for page in target.batches.pending("b"))
    expected["late"] += 1
    for callback in CALLBACKS:
        del expected[callback]
    assert drain(target) == expected
    found = target.batches.read("b")
    assert found is not None
    assert (found.total, found.pending) == (5, 1)
