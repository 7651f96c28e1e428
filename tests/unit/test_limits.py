"""C33, C34: what a task may declare of limits, and by which names they go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from umbel import Concurrency, RateLimit, TokenBucket, Umbel
from umbel.engine.admission import Admission
from umbel.engine.envelope import decode, encode, headers_of
from umbel.engine.headers import FIRST
from umbel.engine.store import Delivery, Record, Settled
from umbel.errors import ConfigurationError, LimitReached
from umbel.jobs.limited import Limited
from umbel.jobs.rates import rate_text, rule_of
from umbel.state.limits import UNLIMITED, Ask, Rule, Start


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Umbel]:
    app = Umbel("shop", broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False)
    yield app
    app.engine.close()
    app.close()


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("10/s", Rule(10, 1.0)),
        ("100/m", Rule(100, 60.0)),
        ("1000/h", Rule(1000, 3600.0)),
        ("5/d", Rule(5, 86_400.0)),
        ("0.5/s", Rule(1, 2.0)),
        ("1.5/m", Rule(3, 120.0)),
        ("7", Rule(7, 1.0)),
        (4, Rule(4, 1.0)),
        (0.25, Rule(1, 4.0)),
        ("0/s", UNLIMITED),
    ],
)
def test_c33_rates_are_said_as_celery_says_them(said: Any, rule: Rule) -> None:
    assert rule_of(said) == rule


@pytest.mark.parametrize("said", ["often", "10/y", "-1/s", "10/", "", None, True, [], "2000000/s", "0.001/d"])
def test_c33_what_is_no_rate_is_refused(said: Any) -> None:
    with pytest.raises(ValueError, match=r"rate|limit"):
        rule_of(said)


def test_c33_how_rules_are_shown() -> None:
    assert rate_text(Rule(100, 60.0)) == "100/m"
    assert rate_text(Rule(1, 2.0)) == "1 in 2 s"
    assert rate_text(Rule(5, 1.0, 50)) == "5/s, bursts of 50"
    assert rate_text(Rule(5, 0.0)) == "5 at a time"
    assert rate_text(UNLIMITED) == "none"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RateLimit("often"), "no rate"),
        (lambda: RateLimit("0/s"), "leave it out"),
        (lambda: RateLimit("1/s", name=""), "1 to 200"),
        (lambda: TokenBucket("1/s", 0), "burst"),
        (lambda: Concurrency(0), "most"),
        (lambda: Concurrency(True), "most"),
        (lambda: Concurrency(1, for_="0.5s"), "too short"),
        (lambda: Concurrency(1, for_="soon"), "for_"),
        (lambda: Limited.of("10/s", "Task a"), "Task a: limits='10/s' is no list"),
        (lambda: Limited.of([7], "Task a"), "Task a: limits: 7 is no limit"),
    ],
)
def test_c33_what_makes_no_sense_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


def test_c33_a_key_that_is_no_parameter_is_refused_at_the_start(jobs: Umbel) -> None:
    @jobs.task(name="shop.notify", limits=[RateLimit("1/s", key="user")])
    def notify(user_id: int) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Task shop.notify: RateLimit\(key='user'\)"):
        jobs.finalize()


def test_c33_a_routes_rate_is_checked_too(jobs: Umbel) -> None:
    jobs.conf.task_routes = {"shop.*": {"rate_limit": "often"}}
    with pytest.raises(ConfigurationError, match=r"Route 'shop.\*': rate_limit 'often'"):
        jobs.finalize()


def test_c33_what_a_job_asks(jobs: Umbel) -> None:
    @jobs.task(
        name="shop.notify",
        limits=[
            "100/m",
            RateLimit("10/m", key="user"),
            TokenBucket("1/s", 5, name="smtp"),
            RateLimit("9/h", key="user"),
        ],
    )
    def notify(user: int, text: str = "") -> None: ...

    @jobs.task(name="shop.plain", rate_limit="3/d")
    def plain() -> None: ...

    @jobs.task(name="shop.free")
    def free() -> None: ...

    jobs.conf.task_routes = {"shop.pl*": {"rate_limit": "7/h"}, "shop.*": {"rate_limit": "8/h"}}
    jobs.limits.queue("narrow", RateLimit("5/s"))

    def asked(name: str, queue: str = "celery", *args: Any) -> list[tuple[str, Rule]]:
        found = jobs.limits.ask(name, queue, "id", lambda: (args, {}))
        return [] if found is None else [(limit.base, limit.rule) for limit in found.limits]

    assert asked("shop.notify", "celery", 3) == [
        ("shop.notify", Rule(100, 60.0)),
        ("shop.notify:user", Rule(10, 60.0)),
        ("smtp", Rule(1, 1.0, 5)),
        ("shop.notify:user#2", Rule(9, 3600.0)),
        ("route:shop.*", Rule(8, 3600.0)),
    ]
    assert asked("shop.plain") == [("shop.plain", Rule(3, 86_400.0)), ("route:shop.pl*", Rule(7, 3600.0))]
    assert asked("shop.free", "narrow") == [("route:shop.*", Rule(8, 3600.0)), ("queue:narrow", Rule(5, 1.0))]
    assert asked("nobody.knows", "narrow") == [("queue:narrow", Rule(5, 1.0))]
    assert asked("nobody.knows") == []
    # Celery gives an application the tasks of others in its process too.
    tasks, queues = jobs.limits.names()
    assert {"shop.notify", "shop.plain", "shop.free"} <= tasks
    assert "celery.backend_cleanup" in jobs.tasks
    assert "celery.backend_cleanup" not in tasks
    assert queues == {"narrow"}
    first, second = (jobs.limits.ask("shop.notify", "celery", "id", lambda user=user: ((user,), {})) for user in (1, 2))
    assert isinstance(first, Ask)
    assert isinstance(second, Ask)
    assert [one.name == other.name for one, other in zip(first.limits, second.limits, strict=True)] == [
        *(True, False, True, False, True)
    ]


def test_c33_c34_what_waits_for_something_else_asks_by_itself(jobs: Umbel) -> None:
    @jobs.task(name="shop.report", limits=["1/s", Concurrency(2)])
    def report() -> None: ...

    assert jobs.limits.ask("shop.report", "celery", "id", lambda: ((), {})) is None
    assert [one.name for one in jobs.limits.status()] == ["shop.report", "shop.report:slots"]


def test_c33_limits_are_listed_changed_and_reset(jobs: Umbel) -> None:
    @jobs.task(name="shop.plain", rate_limit="3/d")
    def plain() -> None: ...

    @jobs.task(name="shop.free", limits=[Concurrency(3)])
    def free() -> None: ...

    jobs.limits.change("shop.plain", "10/m", burst=4)
    jobs.limits.change("shop.free", "1/s")
    jobs.limits.change("shop.free:slots", "9")
    jobs.limits.change("queue:any", "none")
    found = {one.name: one for one in jobs.limits.status()}
    assert {name: (one.limit, one.declared, one.changed) for name, one in found.items()} == {
        "queue:any": ("none", None, True),
        "shop.free": ("1/s", None, True),
        "shop.free:slots": ("9 at a time", "3 at a time", True),
        "shop.plain": ("10/m, bursts of 4", "3/d", True),
    }
    assert jobs.limits.ask("shop.free", "celery", "id", lambda: ((), {})) is None, "it asks by itself"
    assert jobs.limits.names() == ({"shop.plain", "shop.free"}, {"any"})
    for name in found:
        jobs.limits.reset(name)
    assert not any(one.changed for one in jobs.limits.status())
    with pytest.raises(ConfigurationError, match="no limit and no task 'shop.plan'"):
        jobs.limits.change("shop.plan", "1/s")
    with pytest.raises(ConfigurationError, match="Limit 'shop.plain'"):
        jobs.limits.change("shop.plain", "often")


def test_c33_c34_a_block_under_limits(jobs: Umbel) -> None:
    def begin(wait: object = 0) -> None:
        with jobs.limit("geocoder", "2/h", Concurrency(1), wait=wait):
            pass

    begin()
    begin()
    with pytest.raises(LimitReached, match="'geocoder'") as caught:
        begin("1s")
    assert 3500 < caught.value.seconds < 3700
    assert jobs.engine.limits.waiting(["named:geocoder"])[0].jobs == 0, "its place was given back"
    with jobs.limit("slots", Concurrency(1)), pytest.raises(LimitReached), jobs.limit("slots", Concurrency(1)):
        pass
    with jobs.limit("slots", Concurrency(1)):
        pass


async def _blocks(jobs: Umbel) -> None:
    async with jobs.limit("api", "5/s", Concurrency(2), wait="60s"):
        pass
    for _ in range(6):
        async with jobs.limit("api", "5/s", wait="60s"):
            pass
    with pytest.raises(LimitReached):
        async with jobs.limit("seldom", "1/d"), jobs.limit("seldom", "1/d"):
            pass


def test_c33_c34_a_block_in_a_coroutine(jobs: Umbel) -> None:
    import asyncio

    asyncio.run(_blocks(jobs))


def test_c26_a_job_that_is_put_off_at_its_arrival_says_since_when_it_waits() -> None:
    """Each time it is stored anew, and Retry(until=) counts from the first."""
    settled: list[Settled] = []
    flusher = SimpleNamespace(submit=settled.append)
    engine = SimpleNamespace(anew=lambda payload: payload, delay_step=0.0)
    admission = Admission.__new__(Admission)
    admission._fetcher = SimpleNamespace(engine=engine, flusher=flusher, finished=lambda: None)  # type: ignore[assignment]
    payload = encode({"body": "", "headers": {"id": "a"}, "properties": {}})
    for enqueued in (1000.0, 2000.0):
        admission._put_off(Delivery(1, "q", payload, 1, enqueued=enqueued), Start(60.0, 5000.0))
        payload = settled[-1].outgoing[0].payload
    assert headers_of(payload) == {"id": "a", FIRST: 1000.0}


def test_c33_a_cancelled_job_gives_its_place_back(jobs: Umbel) -> None:
    @jobs.task(name="paced", limits=[RateLimit("1/h")])
    def paced() -> None: ...

    engine = jobs.engine
    engine.open_lease("here@test", ["celery"], 10)
    holdings = SimpleNamespace(claims=None, refuses=lambda seq: False, drop=lambda seq: None)
    flusher = SimpleNamespace(submit=lambda entry: engine.settle([entry]), holdings=holdings)
    fetcher: Any = SimpleNamespace(engine=engine, flusher=flusher, finished=lambda: None, in_process=False)
    admission = Admission(jobs, fetcher, lambda delivery: decode(delivery.payload))

    def admitted(*task_ids: str) -> list[str | None]:
        for task_id in task_ids:
            paced.apply_async(task_id=task_id)
        return [one.task_id for one in admission.admit(engine.fetch({"celery": 0}, 10))]

    def due(task_id: str) -> float | None:
        where = engine.locate(task_id)
        return None if where is None else where.due

    assert admitted("runs", "second", "third") == ["runs"]
    place = due("second")
    assert place is not None
    assert engine.limits.waiting(["paced"])[0].jobs == 2
    engine.cancel("second", Record("second", "REVOKED", True, "{}"))
    assert admitted("fourth") == ["second"], "to be dropped by its worker"
    found = due("fourth")
    assert found is not None
    assert abs(found - place) < 60
