"""C39: one of many schedulers leads, by the store's word, and what a stale one sends is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from umbel import Umbel
from umbel.engine import redis_leader
from umbel.engine.redis import RedisEngine
from umbel.engine.store import Outgoing
from umbel.errors import StoreUnreachable
from umbel.schedule import beat
from umbel.schedule.beat import LeaderScheduler
from umbel.testing.contract._suite import payload

QUEUE = "default"


class Clock:
    """The clock by which leaders are watched; the schedulers' own goes with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(redis_leader.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(beat.time, "monotonic", lambda: self.now)

    def until(self, condition: Callable[[], bool], most: float) -> float:
        """Ask every second until it holds; return the seconds that took."""
        began = self.now
        while not condition():
            self.now += 1.0
            assert self.now - began <= most, f"not within {most} s"
        return self.now - began


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def engine(redis_url: str) -> Iterator[RedisEngine]:
    engine = RedisEngine(redis_url)
    yield engine
    engine.close()


def out(name: str) -> list[Outgoing]:
    return [Outgoing(QUEUE, payload(name), name)]


def test_c39_a_leader_that_says_so_leads_for_ever(engine: RedisEngine, clock: Clock) -> None:
    one, others = engine.leader("shop"), [engine.leader("shop") for _ in range(4)]
    for _ in range(100):
        assert one.leads()
        assert not any(other.leads() for other in others)
        clock.now += 1.0


def test_c39_a_dead_leader_is_replaced_within_15_seconds_by_one(engine: RedisEngine, clock: Clock) -> None:
    assert engine.leader("shop").leads()
    others = [engine.leader("shop") for _ in range(4)]
    taken = clock.until(lambda: sum(other.leads() for other in others) > 0, most=15)
    assert taken >= redis_leader.LEADER_SECONDS
    assert sum(other.leads() for other in others) == 1


def test_c39_a_leader_that_resigns_is_replaced_at_once(engine: RedisEngine) -> None:
    one, other = engine.leader("shop"), engine.leader("shop")
    assert one.leads()
    assert not other.leads()
    one.resign()
    assert other.leads()
    one.resign()
    assert other.leads(), "who does not lead cannot resign for another"


def test_c39_the_ticks_of_a_stale_leader_are_refused(engine: RedisEngine, clock: Clock) -> None:
    stale, other = engine.leader("shop"), engine.leader("shop")
    assert stale.leads()
    assert engine.tick(stale, out("a"), "nightly", 1.0, 1)
    clock.until(other.leads, most=15)
    assert not engine.tick(stale, out("b"), "nightly", 2.0, 2)
    assert engine.last_ticks() == {"nightly": (1.0, 1)}
    assert engine.tick(other, out("c"), "nightly", 2.0, 2)
    assert engine.names.size(QUEUE) == 2
    assert not stale.leads()


def test_c39_a_term_ends_although_the_same_process_leads_again(engine: RedisEngine, clock: Clock) -> None:
    """What it sent long ago may still be under way."""
    one = engine.leader("shop")
    assert one.leads()
    early = engine.leader("shop")
    early.term = one.term
    one.resign()
    assert one.leads()
    assert not engine.tick(early, out("a"), "nightly", 1.0, 1)


def test_c39_a_server_that_was_down_proves_nobody_dead(
    engine: RedisEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = engine.leader("shop"), engine.leader("shop")
    assert one.leads()
    for _ in range(8):
        assert not other.leads()
        clock.now += 1.0
    with monkeypatch.context() as patch:
        patch.setattr(engine.store, "run", cut)
        with pytest.raises(StoreUnreachable):
            other.leads()
    clock.now += 5.0
    assert not other.leads()
    assert one.leads()


def test_c39_who_was_stopped_has_watched_nothing_meanwhile(engine: RedisEngine, clock: Clock) -> None:
    one, other = engine.leader("shop"), engine.leader("shop")
    assert one.leads()
    assert not other.leads()
    clock.now += 3600
    assert not other.leads()
    assert one.leads()


def test_applications_have_leaders_of_their_own(engine: RedisEngine) -> None:
    shop, blog = engine.leader("shop"), engine.leader("blog")
    assert shop.leads()
    assert blog.leads()


# -- the scheduler ------------------------------------------------------------------------------------------------


@pytest.fixture
def app(redis_url: str) -> Iterator[Umbel]:
    app = Umbel("shop", broker=redis_url, set_as_current=False)
    app.conf.beat_schedule = {"often": {"task": "shop.often", "schedule": 0.001, "options": {"queue": QUEUE}}}
    app.task(name="shop.often", shared=False)(often)
    yield app
    app.engine.close()
    app.close()


def often() -> None:
    """Nothing."""


def sent(app: Umbel) -> int:
    return app.engine.names.size(QUEUE)


def runs(app: Umbel) -> int:
    return app.engine.last_ticks().get("shop/often", (0.0, 0))[1]


def tick(scheduler: LeaderScheduler, app: Umbel) -> None:
    """Let a scheduler go on until it has sent something, or has learnt that it may not."""
    before = sent(app)
    for _ in range(1000):
        scheduler.tick()
        if sent(app) > before or not scheduler._leads:
            return
    pytest.fail("nothing is due")


def test_c39_a_scheduler_that_was_superseded_sends_nothing_and_may_lead_again(app: Umbel, clock: Clock) -> None:
    first, second = LeaderScheduler(app), LeaderScheduler(app)
    tick(first, app)
    assert second.tick() > 0
    clock.until(lambda: bool(second.tick() is not None and second._leads), most=15)
    tick(second, app)
    # It looked a moment ago, and does not know it yet.
    first._looked = clock.now
    before = sent(app)
    tick(first, app)
    assert not first._leads
    assert sent(app) == before == runs(app)
    second.close()
    tick(first, app)
    assert sent(app) == before + 1 == runs(app)


@pytest.mark.parametrize("stored", [True, False])
def test_c39_a_tick_without_an_answer_is_sent_again_and_stored_once(
    app: Umbel, stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = LeaderScheduler(app)
    tick(scheduler, app)
    ask = app.engine.store.run  # type: ignore[attr-defined]

    def unanswered(name: str, *arguments: object) -> Any:
        if name != "tick":
            return ask(name, *arguments)
        if stored:
            ask(name, *arguments)
        raise StoreUnreachable("redis://test", "cut")

    with monkeypatch.context() as patch:
        patch.setattr(app.engine.store, "run", unanswered)
        for _ in range(1000):
            assert scheduler.tick() is not None
            if scheduler.schedule["often"].total_run_count == 1 and scheduler._heap is None:
                break
    assert runs(app) == (2 if stored else 1)
    before = sent(app)
    for _ in range(3):
        tick(scheduler, app)
    assert sent(app) == runs(app) == before + 3


def test_c40_the_next_leader_knows_when_entries_ran(app: Umbel) -> None:
    first = LeaderScheduler(app)
    tick(first, app)
    ran = first.schedule["often"].last_run_at
    first.close()
    second = LeaderScheduler(app)
    second.app.conf.beat_schedule["often"]["schedule"] = 3600
    second.tick()
    assert second.schedule["often"].total_run_count >= 1
    assert second.schedule["often"].last_run_at >= ran


def test_applications_have_ticks_of_their_own(app: Umbel) -> None:
    """Entries of one name, in one database."""
    tick(LeaderScheduler(app), app)
    app.main = "blog"
    other = LeaderScheduler(app)
    tick(other, app)
    assert other.schedule["often"].total_run_count == 1
    assert set(app.engine.last_ticks()) == {"shop/often", "blog/often"}


def cut(*_: object) -> Any:
    raise StoreUnreachable("redis://test", "cut")


def test_c30_a_schedule_does_not_pile_up_behind_a_unique_job(app: Umbel) -> None:
    app.conf.beat_schedule["once"] = {"task": "shop.once", "schedule": 0.001, "options": {"queue": "once"}}
    app.task(name="shop.once", shared=False, unique=True)(often)
    scheduler = LeaderScheduler(app)
    for _ in range(1000):
        scheduler.tick()
        if app.engine.last_ticks().get("shop/once", (0.0, 0))[1] >= 5:
            break
    assert app.engine.last_ticks()["shop/once"][1] >= 5
    assert app.engine.names.size("once") == 1
    scheduler.close()
