"""C28, C29, C31, C34: what jobs of one process are granted with their batch, and what becomes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker.plant import until
from umbel import Breaker, Concurrency, Idempotent, Snooze, Umbel, WithoutOverlap
from umbel.engine.flusher import Flusher
from umbel.engine.holdings import Candidate, Holding, Holdings
from umbel.engine.store import Settled
from umbel.errors import StoreUnreachable
from umbel.jobs.doubt import EffectPolicy
from umbel.jobs.job_effects import JobEffect
from umbel.jobs.locks import Lock
from umbel.state.breakers import Threshold
from umbel.state.effects import Answer, Claimant, Ending, Standing


@pytest.fixture(params=["sqlite", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Umbel]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else f"sqlite:///{tmp_path}/jobs.db"
    made = Umbel("claims", broker=url, set_as_current=False)

    @made.task(
        name="both",
        shared=False,
        overlap=WithoutOverlap(key="a"),
        limits=[Concurrency(1, key="b"), Concurrency(5, name="x")],
    )
    def both(a: int, b: int) -> None: ...

    @made.task(name="guarded", shared=False, overlap=WithoutOverlap(), breaker=Breaker(failures=1, key="a"))
    def guarded(a: int) -> None: ...

    @made.task(name="again", shared=False, overlap=WithoutOverlap(), idempotent=Idempotent(key="a", uncertain="repeat"))
    def again(a: int) -> None: ...

    @made.task(name="once", shared=False, idempotent=Idempotent(key="a"))
    def once(a: int) -> None: ...

    yield made
    for keeper in (made.keeper, made.slot_keeper, made.effect_desk.keeper):
        for held in keeper.held():
            keeper.let_go(held)
    made.engine.close()
    made.close()


def jobs_of(task: str, *given: tuple[Any, ...]) -> list[Candidate]:
    return [Candidate(number, task, f"job-{number}", list(args), {}) for number, args in enumerate(given, 1)]


def locks_of(app: Umbel, task: str, *args: Any) -> list[str]:
    declared: Any = app.tasks[task].declared  # type: ignore[attr-defined]
    made = [one.locks(app.tasks[task], "", list(args), {}) for one in (declared.overlap, declared.limits) if one]
    return [lock.name for locks in made for lock in locks]


def all_of(holding: Holding) -> list[Lock]:
    return [one for kind in holding.held.values() for one in kind]


def test_c31_c34_a_job_takes_all_that_it_needs_or_none(app: Umbel) -> None:
    overlap, slot, shared = locks_of(app, "both", 1, 1)
    other = app.engine.slots.acquire(slot, "elsewhere", 60, most=1)
    found = app.claims.claim(jobs_of("both", (1, 1), (2, 2), (3, "no such", "call")))
    assert sorted(found) == [1, 2], "what is wrong with its arguments the third says itself"
    assert not found[1].held
    assert found[1].refusal is not None
    task: Any = app.tasks["both"]
    task.push_request(id="job-1", called_directly=False)
    refusal = found[1].refusal(task)
    task.pop_request()
    assert isinstance(refusal, Snooze), "it uses no attempt"
    assert app.engine.locks.holder(overlap) is None, "what it had is free"
    assert [one.owner for one in app.engine.slots.holders(shared)] == ["job-2"]
    assert [type(one).__name__ for one in all_of(found[2])] == ["Lock", "Slot", "Slot"]
    assert not any(one.lost for one in all_of(found[2]))
    app.claims.give_back(all_of(found[2]))
    assert app.engine.slots.holders(shared) == []
    assert app.engine.slots.release(slot, other.fence), "nobody else's"


def test_c31_jobs_of_one_key_in_one_process_ask_one_after_the_other(app: Umbel) -> None:
    first, second, third = jobs_of("both", (1, 1), (1, 2), (2, 3))
    found = app.claims.claim([first])
    found.update(app.claims.claim([second, third]))
    assert [one.batched for one in all_of(found[1])] == [False, True, True], "it is heard of at once when it ends"
    assert all(one.batched for one in all_of(found[3]))
    assert not all_of(found[2]), "the second asks when it begins, and has nothing meanwhile"
    assert found[2].wanted == locks_of(app, "both", 1, 2)[0]
    assert app.engine.slots.holders(locks_of(app, "both", 1, 2)[1]) == []
    app.claims.give_back([*all_of(found[1]), *all_of(found[3])])
    waiting = Holdings()
    waiting.keep(found)
    (later,) = app.claims.claim([Candidate(7, "both", "job-7", [1, 7], {})], waiting.is_wanted).values()
    assert later.wanted == found[2].wanted, "and none that came later goes before it"
    waiting.keep({7: later})
    waiting.drop(2)
    assert waiting.is_wanted(later.wanted)
    begun = waiting.take(7)
    assert begun is not None
    assert waiting.is_wanted(later.wanted), "until it ends"
    waiting.close(begun)
    assert not waiting.is_wanted(later.wanted)
    twice = app.claims.claim([first, Candidate(9, "both", first.task_id, [1, 1], {})])
    assert sorted(twice) == [1], "a message that is there twice takes nothing from itself"
    app.claims.give_back(all_of(twice[1]))


def test_c29_a_breaker_is_looked_at_with_the_batch_and_opens_for_it_too(app: Umbel) -> None:
    declared: Any = app.tasks["guarded"].declared  # type: ignore[attr-defined]
    names = {a: declared.breaker.name(app.tasks["guarded"], [a], {}) for a in (1, 2, 3)}
    app.engine.breakers.failed(names[2], "elsewhere", Threshold(1, 60, 60))
    app.engine.breakers.failed(names[3], "elsewhere", Threshold(1, 60, 0.01))
    until(lambda: app.engine.breakers.look([names[3]]) == [None], "it may be tried out")
    found = app.claims.claim(jobs_of("guarded", (2,), (3,), (1,)))
    assert sorted(found) == [1, 3], "who may be the probe asks when it begins"
    assert found[1].refusal is not None
    assert (found[1].held, found[1].passage) == ({}, None)
    assert found[3].passage == names[1]
    assert app.claims.is_closed(names[1], found[3].asked)
    app.claims.opened(names[1])
    assert not app.claims.is_closed(names[1], found[3].asked)
    assert app.claims.is_closed(names[2], found[3].asked)


def test_c32_an_effect_is_claimed_with_the_batch_only_where_it_may_be_repeated(app: Umbel) -> None:
    assert "once" not in app.claims.names()
    who = Claimant("elsewhere", "run", "token")
    name = app.tasks["again"].declared.idempotent.effect(app.tasks["again"], [2], {}).name  # type: ignore[attr-defined]
    for job, said, held in (("job-1", None, True), ("job-2", "running", False), ("job-2", "done", True)):
        if said == "running":
            assert app.engine.effects.claim(name, who, 60).held
        elif said == "done":
            assert app.engine.effects.complete(name, "token", '"theirs"', 60)
        (found,) = app.claims.claim([Candidate(1, "again", job, [1 if said is None else 2], {})]).values()
        assert (found.refusal is None) is held
        assert [type(one).__name__ for one in all_of(found)] == (["Lock", "JobEffect"] if held else [])
        assert all(one.usable for one in all_of(found))
        app.claims.give_back(all_of(found))
    assert app.claims.claim([Candidate(1, "again", "job-3", [1], {})])[1].refusal is None, "it was given back"
    assert app.keeper.held()


@pytest.fixture
def flusher(app: Umbel) -> Iterator[Flusher]:
    app.engine.open_lease("here@test", ["default"], 1)
    made = Flusher(app.engine)
    made.holdings.claims = app.claims
    yield made
    made.stop()


@pytest.mark.parametrize("action", ["ack", "requeue", "crash"])
def test_c31_c34_whatever_becomes_of_a_job_that_never_began_it_holds_nothing(
    app: Umbel, flusher: Flusher, action: str
) -> None:
    names = locks_of(app, "both", 1, 1)
    flusher.holdings.keep(app.claims.claim(jobs_of("both", (1, 1))))
    flusher.submit(Settled(1, "keep"))
    assert flusher.drain(60.0)
    assert app.engine.locks.holder(names[0]) is not None
    flusher.submit(Settled(1, action))
    assert flusher.drain(60.0)
    assert flusher.holdings.take(1) is None
    assert app.engine.locks.holder(names[0]) is None
    assert [app.engine.slots.holders(name) for name in names[1:]] == [[], []]
    assert not app.keeper.held()
    assert not app.slot_keeper.held()


def test_c34_what_a_job_has_that_waits_for_long_is_for_others(app: Umbel, flusher: Flusher) -> None:
    fresh, waiting = Holding(time.monotonic() + 3600), Holding(time.monotonic() - 3600)
    for holding, number in ((fresh, 1), (waiting, 2)):
        holding.held.update(app.claims.claim(jobs_of("both", (number, number)))[1].held)
    flusher.holdings.keep({1: fresh, 2: waiting})
    assert flusher.holdings.loosen()
    assert not flusher.holdings.loosen()
    assert [flusher.holdings.take(seq) for seq in (1, 2)] == [fresh, None]
    flusher.hurry()
    assert flusher.drain(60.0)
    held = [app.engine.locks.holder(locks_of(app, "both", number, number)[0]) for number in (1, 2)]
    assert [one is not None for one in held] == [True, False]


def test_c31_what_is_freed_while_the_store_is_away_is_freed_when_it_is_back(
    app: Umbel, flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name, *_) = locks_of(app, "both", 1, 1)
    found = app.claims.claim(jobs_of("both", (1, 1)))
    tries = []

    def away(free: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*args: Any) -> Any:
            tries.append(args)
            if len(tries) < 3:
                raise StoreUnreachable("the store", "cut")
            return free(*args)

        return failing

    monkeypatch.setattr(type(app.engine.locks), "release_many", away(type(app.engine.locks).release_many))
    flusher.holdings.leave(*all_of(found[1]))
    flusher.hurry()
    assert flusher.drain(60.0)
    assert len(tries) == 3
    assert app.engine.locks.holder(name) is None
    assert app.engine.slots.holders("x") == []


def test_c32_the_store_is_told_of_an_effect_before_it_is_told_of_the_job(
    app: Umbel, flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often that fails: whoever runs the job again is to find the effect done."""
    name, done = "task:once:1", list[object]()
    app.engine.effects.claim(name, Claimant("job-1", "run", "token"), 60)
    effect = JobEffect(app.effect_desk, name, EffectPolicy())
    again = Claimant("job-1", "again", "again")
    tries, end, settle = list[int](), app.engine.effects.end_many, app.engine.settle

    def failing(endings: Any) -> Any:
        tries.append(len(endings))
        if len(tries) < 3:
            raise StoreUnreachable("the store", "cut")
        return end(endings)

    def settling(entries: Any) -> Any:
        done.append(app.engine.effects.claim(name, again, 60))
        return settle(entries)

    monkeypatch.setattr(app.engine.effects, "end_many", failing)
    monkeypatch.setattr(app.engine, "settle", settling)
    flusher.holdings.conclude((effect, Ending(name, "token", "complete", '"first"', 60)))
    flusher.submit(Settled(1, "ack"))
    assert flusher.drain(60.0)
    assert tries == [1, 1, 1]
    assert done == [Answer(Standing.DONE, result='"first"')]


def test_c31_locks_that_come_and_go_keep_none_from_being_renewed(app: Umbel) -> None:
    with app.lock("long", for_="300ms") as lock:
        first, ended = lock._until, threading.Event()

        def come_and_go() -> None:
            while not ended.is_set():
                one = app.lock("short", for_="300ms")
                one.fence = 1
                app.keeper.keep(one)
                app.keeper.let_go(one)

        thread = threading.Thread(target=come_and_go)
        thread.start()
        try:
            until(lambda: lock._until > first, "it is renewed all the same")
        finally:
            ended.set()
            thread.join()
