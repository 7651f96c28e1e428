"""C5: every way of dispatching a job, and every option of ``apply_async``."""

from __future__ import annotations

import datetime
import time
import uuid

import pytest
from celery import signature
from celery.exceptions import NotRegistered

from tests.acceptance.semantics.jobs import Jobs, failure, outcome
from tests.acceptance.semantics.waiting import DEADLINE


def _in(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def test_delay_returns_what_the_body_returned(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.add.delay(2, y=3)) == 5


def test_apply_async_takes_args_and_kwargs(jobs: Jobs) -> None:
    """C5"""
    result = jobs.echo.apply_async((1, "two"), {"three": [3], "four": None})
    assert outcome(result) == [[1, "two"], {"three": [3], "four": None}]


def test_calling_a_task_directly_runs_it_here(jobs: Jobs) -> None:
    """C46: a task stays callable."""
    assert jobs.world.app.tasks["sync.add"](2, 3) == 5


def test_wrong_arguments_are_refused_at_dispatch(jobs: Jobs) -> None:
    """C5, C13: a TypeError at the caller, and nothing is queued."""
    with pytest.raises(TypeError):
        jobs.add.delay()


def test_task_id_is_the_callers(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.whoami.apply_async(task_id=key)
    assert result.id == key
    assert outcome(result)["id"] == key


def test_countdown_is_waited_for(jobs: Jobs, key: str) -> None:
    """C5, C16"""
    sent = time.time()
    jobs.mark.apply_async((key,), countdown=1)
    assert jobs.trail.wait(key, "ran")[0]["at"] >= sent + 1


@pytest.mark.parametrize("zone", [datetime.UTC, datetime.timezone(datetime.timedelta(hours=5, minutes=30))])
def test_eta_is_waited_for_in_any_time_zone(jobs: Jobs, key: str, zone: datetime.timezone) -> None:
    """C5, C16"""
    due = _in(1)
    jobs.mark.apply_async((key,), eta=due.astimezone(zone))
    assert jobs.trail.wait(key, "ran")[0]["at"] >= due.timestamp()


def test_eta_in_the_past_runs_now(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.add.apply_async((1, 2), eta=_in(-3600))) == 3


def test_jobs_due_later_do_not_delay_jobs_due_now(jobs: Jobs, key: str) -> None:
    """C16"""
    later = [jobs.mark.apply_async((key, "later"), countdown=3600) for _ in range(40)]
    assert outcome(jobs.add.delay(1, 2)) == 3
    assert jobs.trail.words(key) == []
    jobs.world.app.control.revoke([result.id for result in later])


def test_expires_that_has_not_passed_does_not_matter(jobs: Jobs) -> None:
    """C10"""
    assert outcome(jobs.add.apply_async((1, 2), expires=600)) == 3
    assert outcome(jobs.add.apply_async((1, 2), expires=_in(600))) == 3


def test_queue_is_where_it_runs(jobs: Jobs) -> None:
    """C5"""
    seen = outcome(jobs.whoami.apply_async(queue="side"))
    assert seen["delivery_info"]["routing_key"] == "side"


def test_queue_may_be_given_as_an_object(jobs: Jobs) -> None:
    """C5"""
    queue = jobs.world.app.amqp.queues["side"]
    assert outcome(jobs.whoami.apply_async(queue=queue))["delivery_info"]["routing_key"] == "side"


def test_exchange_and_routing_key(jobs: Jobs) -> None:
    """C5: a direct exchange."""
    seen = outcome(jobs.whoami.apply_async(exchange="side", routing_key="side"))
    assert seen["delivery_info"]["exchange"] == "side"


def test_topic_exchange_matches_by_pattern(jobs: Jobs) -> None:
    """C5: ``media.video.#`` takes ``media.video.crop.fast``."""
    seen = outcome(jobs.whoami.apply_async(queue="video", routing_key="media.video.crop.fast"))
    assert seen["delivery_info"]["exchange"] == "media"
    assert seen["delivery_info"]["routing_key"] == "media.video.crop.fast"


def test_task_routes_by_glob(jobs: Jobs) -> None:
    """C5, C11"""
    assert outcome(jobs.routed_by_name.delay()) == "side"
    assert outcome(jobs.routed_glob_star.delay()) == "side"


def test_priority_is_accepted_and_seen(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.whoami.apply_async(priority=6))["delivery_info"]["priority"] == 6


def test_headers_reach_the_job(jobs: Jobs) -> None:
    """C5"""
    seen = outcome(jobs.whoami.apply_async(headers={"tenant": "acme"}))
    assert seen["headers"]["tenant"] == "acme"


def test_ignore_result_of_the_call(jobs: Jobs, key: str) -> None:
    """C5: it runs, nothing is stored, and waiting returns at once."""
    result = jobs.mark.apply_async((key, "ran", 7), ignore_result=True)
    jobs.trail.wait(result.id, "task_postrun")
    assert result.get(timeout=DEADLINE) is None
    assert jobs.world.app.AsyncResult(result.id).result is None


def test_ignore_result_of_the_task(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.ignored.delay(key)
    jobs.trail.wait(result.id, "task_postrun")
    assert jobs.world.app.AsyncResult(result.id).result is None


def test_ignore_result_can_be_taken_back_at_the_call(jobs: Jobs, key: str) -> None:
    """C5"""
    assert outcome(jobs.ignored.apply_async((key,), ignore_result=False)) == 42


def test_another_serializer(jobs: Jobs) -> None:
    """C5: any serializer that ``accept_content`` names."""
    assert outcome(jobs.echo.apply_async(("é", 1), serializer="reversed")) == [["é", 1], {}]


@pytest.mark.parametrize("compression", ["zlib", "bzip2"])
def test_compression(jobs: Jobs, compression: str) -> None:
    """C5"""
    text = "umbel " * 2000
    assert outcome(jobs.echo.apply_async((text,), compression=compression)) == [[text], {}]


def test_shadow_and_argument_representations(jobs: Jobs) -> None:
    """C5"""
    seen = outcome(jobs.whoami.apply_async((1,), shadow="nickname", argsrepr="(hidden)", kwargsrepr="{hidden}"))
    assert (seen["shadow"], seen["argsrepr"], seen["kwargsrepr"]) == ("nickname", "(hidden)", "{hidden}")
    assert seen["task"] == jobs.named("whoami")


def test_retry_and_retry_policy_are_accepted(jobs: Jobs) -> None:
    """C5"""
    policy = {"max_retries": 2, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}
    assert outcome(jobs.add.apply_async((1, 2), retry=True, retry_policy=policy)) == 3
    assert outcome(jobs.add.apply_async((1, 2), retry=False)) == 3


def test_link_receives_the_result(jobs: Jobs, key: str) -> None:
    """C5"""
    jobs.add.apply_async((1, 2), link=jobs.remember.s(key))
    assert jobs.trail.wait(key, "got")[0]["value"] == 3


def test_several_links_all_run(jobs: Jobs, key: str) -> None:
    """C5: one immutable among them."""
    links = [jobs.remember.s(key, "one"), jobs.remember.s(key, "two"), jobs.mark.si(key, "three")]
    jobs.add.apply_async((1, 2), link=links)
    for what in ("one", "two", "three"):
        jobs.trail.wait(key, what)


def test_link_does_not_run_after_a_failure(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.fail.apply_async(link=jobs.mark.si(key), link_error=jobs.errback_full.s())
    assert isinstance(failure(result), ValueError)
    jobs.trail.wait(result.id, "errback_full")
    assert jobs.trail.words(key) == []


def test_link_error_of_the_old_form_gets_the_id(jobs: Jobs) -> None:
    """C5"""
    result = jobs.fail.apply_async(link_error=jobs.errback_id.s())
    jobs.trail.wait(result.id, "errback_id")


def test_link_error_of_the_new_form_gets_request_error_traceback(jobs: Jobs) -> None:
    """C5"""
    result = jobs.fail.apply_async(("told",), link_error=jobs.errback_full.s())
    found = jobs.trail.wait(result.id, "errback_full")[0]
    assert (found["error"], found["text"]) == ("ValueError", "told")


def test_link_error_does_not_run_after_a_success(jobs: Jobs) -> None:
    """C5"""
    result = jobs.add.apply_async((1, 2), link_error=jobs.errback_id.s())
    jobs.trail.wait(result.id, "task_postrun")
    assert outcome(result) == 3
    assert jobs.trail.notes(result.id, "errback_id") == []


def test_send_task_by_name(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.world.app.send_task(jobs.named("add"), (2,), {"y": 5})) == 7


def test_send_task_that_nobody_knows_fails(jobs: Jobs) -> None:
    """C5: the failure can be read, and no worker dies of it."""
    result = jobs.world.app.send_task(f"nobody.knows.{uuid.uuid4().hex}")
    assert isinstance(failure(result), NotRegistered)
    assert result.state == "FAILURE"
    assert outcome(jobs.add.delay(1, 2)) == 3


def test_signature_by_name(jobs: Jobs) -> None:
    """C5"""
    assert outcome(signature(jobs.named("add"), args=(2, 2), app=jobs.world.app).delay()) == 4
    assert outcome(jobs.world.app.signature(jobs.named("add"), args=(2, 3)).apply_async()) == 5


def test_signatures_are_partial_or_immutable(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.echo.s(2, a=1).delay(1, b=2)) == [[1, 2], {"a": 1, "b": 2}]
    assert outcome(jobs.echo.si(2).delay(1)) == [[2], {}]
    assert outcome(jobs.echo.s(1).clone((0,), {"x": 9}).delay()) == [[0, 1], {"x": 9}]


def test_options_of_a_signature(jobs: Jobs) -> None:
    """C5: ``set`` and ``options`` are those of ``apply_async``."""
    seen = outcome(jobs.whoami.s().set(queue="side", shadow="named").delay())
    assert seen["delivery_info"]["routing_key"] == "side"
    assert seen["shadow"] == "named"


def test_shared_task_runs_in_this_application(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.subtract.delay(5, 3)) == 2


def test_result_is_forgotten_on_demand(jobs: Jobs) -> None:
    """C5"""
    result = jobs.add.delay(1, 2)
    assert outcome(result) == 3
    result.forget()
    assert jobs.world.app.AsyncResult(result.id).result is None


def test_result_by_id_from_anywhere(jobs: Jobs) -> None:
    """C5: with ``result_extended`` it also knows name and arguments."""
    result = jobs.add.delay(4, y=5)
    assert outcome(result) == 9
    again = jobs.world.app.AsyncResult(result.id)
    assert (again.state, again.result, again.successful(), again.ready()) == ("SUCCESS", 9, True, True)
    assert (again.name, again.kwargs) == (jobs.named("add"), {"y": 5})
    assert list(again.args) == [4]
    assert again.date_done is not None


def test_many_at_once_each_get_their_own_result(jobs: Jobs) -> None:
    """C5, C15: and each is run once."""
    results = [jobs.echo.delay(number) for number in range(100)]
    assert [outcome(result)[0][0] for result in results] == list(range(100))
