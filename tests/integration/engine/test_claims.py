"""C28, C29, C31, C34: what jobs of one process are granted with their batch, and what becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker.plant import until
from umbel import Breaker, Concurrency, Snooze, Umbel, WithoutOverlap
from umbel.engine.flusher import Flusher
from umbel.engine.holdings import Candidate, Holding
from umbel.engine.store import Settled
from umbel.errors import StoreUnreachable
from umbel.jobs.locks import Lock
from umbel.state.breakers import Threshold


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

    yield made
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
    found = app.claims.claim([first, second, third])
    assert sorted(found) == [1, 3], "the second asks when it begins, and has nothing meanwhile"
    assert [one.batched for one in all_of(found[1])] == [False, True, True], "and is heard at once then"
    assert all(one.batched for one in all_of(found[3]))
    assert app.engine.slots.holders(locks_of(app, "both", 1, 2)[1]) == []
    app.claims.give_back([*all_of(found[1]), *all_of(found[3])])
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
