"""C5: ``task_always_eager``: here and now, coroutines included, inside a running event loop too."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import MaxRetriesExceededError, Retry
from celery.result import EagerResult

from tests.acceptance.semantics.application import make
from tests.acceptance.semantics.trail import VARIABLE, Trail


class Eager:
    """An eager application and the tasks of one flavour."""

    def __init__(self, app: Celery, kind: str, flavour: str, trail: Trail) -> None:
        self.app = app
        self.kind = kind
        self.flavour = flavour
        self.trail = trail

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return self.app.tasks[f"{self.flavour}.{name}"]


@pytest.fixture(params=["celery-sync", "umbel-sync", "umbel-async"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Eager]:
    kind, flavour = request.param.split("-")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "trail.jsonl"))
    broker = "memory://" if kind == "celery" else f"sqlite:///{tmp_path / 'umbel.db'}"
    backend = "cache+memory://" if kind == "celery" else None
    app = make(kind, broker, backend, task_always_eager=True, task_store_eager_result=True)
    app.set_current()
    yield Eager(app, kind, flavour, Trail(tmp_path / "trail.jsonl"))
    app.close()


def test_result_is_there_at_once(jobs: Eager) -> None:
    """C5"""
    result = jobs.add.delay(1, 2)
    assert isinstance(result, EagerResult)
    assert (result.get(), result.state, result.successful()) == (3, "SUCCESS", True)


def test_apply_runs_here_without_the_setting(jobs: Eager) -> None:
    """C5"""
    jobs.app.conf.task_always_eager = False
    assert jobs.add.apply((1, 2)).get() == 3


def test_request_says_that_it_is_eager(jobs: Eager) -> None:
    """C5"""
    result = jobs.whoami.apply_async((1,), task_id="chosen", headers={"tenant": "acme"})
    seen = result.get()
    assert (seen["id"], seen["is_eager"], seen["called_directly"]) == ("chosen", True, False)
    assert seen["current_id"] == "chosen"
    assert seen["headers"]["tenant"] == "acme"


def test_failure_is_kept_in_the_result(jobs: Eager) -> None:
    """C5"""
    result = jobs.fail.delay("eagerly")
    assert result.state == "FAILURE"
    with pytest.raises(ValueError, match="eagerly"):
        result.get()
    assert "eagerly" in result.traceback


def test_failure_propagates_when_asked(jobs: Eager) -> None:
    """C5: ``task_eager_propagates``."""
    jobs.app.conf.task_eager_propagates = True
    with pytest.raises(ValueError, match="eagerly"):
        jobs.fail.delay("eagerly")


def test_retries_run_at_once(jobs: Eager) -> None:
    """C5, C26"""
    assert jobs.flaky.delay("key", 2, 3600).get() == "done"
    assert [entry["retries"] for entry in jobs.trail.notes("key")] == [0, 1, 2]


def test_retries_end(jobs: Eager) -> None:
    """C5, C26"""
    with pytest.raises(MaxRetriesExceededError):
        jobs.give_up.delay("key").get()
    assert jobs.trail.words("key") == ["try"] * 3


def test_retries_propagate(jobs: Eager) -> None:
    """C5, C26: plain Celery lets the retry itself escape, Umbel runs it."""
    jobs.app.conf.task_eager_propagates = True
    if jobs.kind == "celery":
        with pytest.raises(Retry):
            jobs.flaky.delay("key", 1)
    else:
        assert jobs.flaky.delay("key", 1).get() == "done"


def test_autoretry(jobs: Eager) -> None:
    """C5, C26"""
    assert jobs.auto.delay("key", 2).get() == 2


def test_chain(jobs: Eager) -> None:
    """C5"""
    assert chain(jobs.add.s(1, 1), jobs.double.s(), jobs.add.s(1))().get() == 5


def test_group(jobs: Eager) -> None:
    """C5"""
    assert group(jobs.double.s(number) for number in range(3))().get() == [0, 2, 4]


def test_chord(jobs: Eager) -> None:
    """C5"""
    assert chord([jobs.double.s(1), jobs.double.s(2)], jobs.total.s())().get() == 6


def test_chord_within_a_chain(jobs: Eager) -> None:
    """C5"""
    workflow = jobs.add.s(1, 1) | group(jobs.double.s(), jobs.add.s(1)) | jobs.total.s() | jobs.add.s(1)
    assert workflow.delay().get() == 8


def test_map_starmap_chunks(jobs: Eager) -> None:
    """C5"""
    assert jobs.double.map([1, 2]).delay().get() == [2, 4]
    assert jobs.add.starmap([(1, 2)]).delay().get() == [3]
    assert jobs.add.chunks([(1, 1), (2, 2)], 1)().get() == [[2], [4]]


def test_replace(jobs: Eager) -> None:
    """C5: by ``apply``; plain Celery refuses it under ``delay``, taking it for a wait inside a job."""
    assert jobs.replace_plain.apply((4,)).get() == 8
    assert jobs.replace_chain.apply((4,)).get() == 9


def test_links(jobs: Eager) -> None:
    """C5"""
    jobs.add.apply_async((1, 2), link=jobs.remember.s("key"))
    assert jobs.trail.notes("key", "got")[0]["value"] == 3
    result = jobs.fail.apply_async(link_error=jobs.errback_full.s())
    assert jobs.trail.words(result.id) == ["errback_full"]


def test_eta_and_countdown_are_not_waited_for(jobs: Eager) -> None:
    """C5"""
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert jobs.add.apply_async((1, 2), countdown=3600).get() == 3
    assert jobs.add.apply_async((1, 2), eta=later).get() == 3


def test_hooks_run(jobs: Eager) -> None:
    """C5, C23"""
    result = jobs.hooked_ok.delay(1)
    assert jobs.trail.words(result.id) == ["before_start", "body", "on_success", "after_return"]


def test_own_call_wraps_the_body(jobs: Eager) -> None:
    """C5"""
    assert jobs.called.delay().get() == "inside"
    assert jobs.called_super.delay(3).get() == 3


def test_result_can_be_stored(jobs: Eager) -> None:
    """C5: ``task_store_eager_result``."""
    result = jobs.add.delay(1, 2)
    assert jobs.app.AsyncResult(result.id).state == "SUCCESS"
    assert jobs.app.AsyncResult(result.id).result == 3


def test_job_within_a_job(jobs: Eager) -> None:
    """C5: what a job dispatches runs in place, with a request of its own."""
    parent = jobs.spawn.delay("key")
    assert len(parent.get()) == 2
    assert jobs.trail.words("key") == ["ran"]


def test_arguments_go_through_the_serializer(jobs: Eager) -> None:
    """C5: a tuple comes as a list, and what cannot be written is refused."""
    assert jobs.echo.delay((1, 2)).get() == [[[1, 2]], {}]
    with pytest.raises(Exception, match="serializable|Encode|encode"):
        jobs.echo.delay(object())


def test_inside_a_running_event_loop(jobs: Eager) -> None:
    """C5, C25: an endpoint that dispatches works in tests, and may read the result."""

    async def endpoint() -> list[int]:
        first = jobs.add.delay(1, 2)
        second = (jobs.add.s(1, 1) | jobs.double.s()).delay()
        retried = jobs.flaky.delay("key", 1)
        assert retried.get() == "done"
        return [first.get(), second.get()]

    assert asyncio.run(endpoint()) == [3, 4]


def test_failure_inside_a_running_event_loop(jobs: Eager) -> None:
    """C5"""

    async def endpoint() -> None:
        jobs.fail.delay("within").get()

    with pytest.raises(ValueError, match="within"):
        asyncio.run(endpoint())
