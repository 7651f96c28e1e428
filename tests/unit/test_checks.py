"""What is declared can be dispatched, or start-up says why not, and where (C3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kombu import Queue

from umbel import Umbel
from umbel.errors import ConfigurationError

Make = Callable[..., Umbel]


def nothing() -> None: ...


def refused(jobs: Umbel, *words: str) -> str:
    """Complete the application; return the one message that refuses it."""
    with pytest.raises(ConfigurationError) as caught:
        jobs.finalize()
    said = str(caught.value)
    assert "\n" not in said
    for word in words:
        assert word in said
    return said


@pytest.mark.parametrize("options", [{"soft_time_limit": 61, "time_limit": 60}, {"soft_time_limit": 7200}])
def test_c3_a_soft_limit_above_its_hard_limit(jobs: Umbel, options: dict[str, float]) -> None:
    jobs.task(name="shop.slow", **options)(nothing)
    refused(jobs, "Task shop.slow", "soft_time_limit", "hard limit")


def test_c3_a_hard_limit_alone_is_enough(jobs: Umbel) -> None:
    """The application's soft limit is not held against a task that asks for less."""
    task = jobs.task(name="shop.quick", time_limit=60)(nothing)
    jobs.finalize()
    assert task.delay().id


@pytest.mark.parametrize("limit", ["abc", "10/x", "/m", "ten/m"])
def test_c3_a_rate_limit_that_makes_no_sense(jobs: Umbel, limit: str) -> None:
    jobs.task(name="shop.fast", rate_limit=limit)(nothing)
    refused(jobs, "Task shop.fast", repr(limit), "'10/s'")


@pytest.mark.parametrize("limit", ["10/s", "100/m", "5/h", 10, "7", None])
def test_c3_rate_limits_that_make_sense(jobs: Umbel, limit: object) -> None:
    jobs.task(name="shop.fast", rate_limit=limit)(nothing)
    jobs.finalize()


def test_c3_a_queue_that_nobody_declared(make_app: Make) -> None:
    jobs = make_app()
    jobs.conf.task_queues = [Queue("default")]
    jobs.task(name="shop.mail", queue="email")(nothing)
    refused(jobs, "'email'", "task shop.mail", "external_queues")
    jobs = make_app(external_queues="email")
    jobs.conf.task_queues = [Queue("default")]
    jobs.task(name="shop.mail", queue="email")(nothing)
    jobs.finalize()


def test_c3_a_route_to_a_queue_that_nobody_declared(make_app: Make) -> None:
    jobs = make_app()
    jobs.conf.task_queues = [Queue("default")]
    jobs.conf.task_routes = {"shop.*": {"queue": "email"}}
    refused(jobs, "'email'", "route 'shop.*'")


def test_c3_without_declared_queues_every_named_one_is_consumed(jobs: Umbel) -> None:
    jobs.task(name="shop.mail", queue="email")(nothing)
    jobs.conf.task_routes = {"shop.*": {"queue": "routed"}}
    jobs.finalize()
    assert {"email", "routed", jobs.conf.task_default_queue} <= set(jobs.amqp.queues.consume_from)


def test_c3_a_route_that_names_no_task(make_app: Make) -> None:
    jobs = make_app()
    jobs.conf.task_routes = {"shop.gret": {"queue": "email"}}
    jobs.task(name="shop.greet")(nothing)
    refused(jobs, "'shop.gret'", "external_tasks")
    jobs = make_app(external_tasks="shop.gret")
    jobs.conf.task_routes = {"shop.gret": {"queue": "email"}}
    jobs.finalize()


def test_c3_a_schedule_that_names_no_task(make_app: Make) -> None:
    jobs = make_app()
    jobs.conf.beat_schedule = {"nightly": {"task": "shop.clean", "schedule": 60}}
    refused(jobs, "'nightly'", "'shop.clean'", "external_tasks")
    jobs = make_app(external_tasks="shop.clean")
    jobs.conf.beat_schedule = {"nightly": {"task": "shop.clean", "schedule": 60}}
    jobs.finalize()


def test_c3_everything_wrong_is_in_one_message(jobs: Umbel) -> None:
    jobs.task(name="shop.a", rate_limit="often")(nothing)
    jobs.task(name="shop.b", soft_time_limit=9, time_limit=3)(nothing)
    jobs.conf.beat_schedule = {"nightly": {"task": "shop.c", "schedule": 60}}
    refused(jobs, "Task shop.a", "Task shop.b", "'nightly'")


def test_c3_a_sound_application_is_left_alone(jobs: Umbel) -> None:
    jobs.task(name="shop.a", rate_limit="10/s", soft_time_limit=5, time_limit=9, queue="email")(nothing)
    jobs.conf.task_routes = {"shop.a": {"queue": "email"}, "other.*": "elsewhere"}
    jobs.conf.beat_schedule = {"nightly": {"task": "shop.a", "schedule": 60}}
    jobs.finalize()


def test_what_another_application_declares_is_judged_there(make_app: Make) -> None:
    """Celery gives every task of the process to every application."""
    rabbit, other = make_app("amqp://127.0.0.1:1//", state_url="redis://127.0.0.1:1/0"), make_app()

    @other.task(name="other.report", fair="nobody", soft_time_limit=61, time_limit=3600)
    def report(tenant: str) -> None: ...

    rabbit.finalize()
    assert "other.report" in rabbit.tasks
    again = make_app("amqp://127.0.0.1:1//", state_url="redis://127.0.0.1:1/0")

    @again.task(name="own.report", fair="nobody")
    def own(tenant: str) -> None: ...

    refused(again, "own.report", "'nobody'")
