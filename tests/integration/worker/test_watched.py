"""Traces and structured logs of real workers, in each pool."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.integration.worker.plant import Plant, planted, until
from umbel import JobState

#: For whoever has typed the command, before there is a log; and what Celery's signal handler writes.
_PLAIN = ("Running as root", "worker: Warm shutdown")


@dataclass(frozen=True, slots=True)
class Followed:
    """A worker whose jobs are followed, and a client that is."""

    plant: Plant
    exporter: InMemorySpanExporter

    def send(self, name: str, *args: Any, **options: Any) -> str:
        return str(self.plant.app.send_task(name, args, **options).id)

    def dispatched(self, job: str) -> ReadableSpan:
        """The span of a job's dispatch here."""
        (found,) = (one for one in self.exporter.get_finished_spans() if _attribute(one, "messaging.message.id") == job)
        return found

    def spans(self, fits: Callable[[dict[str, Any]], bool], count: int) -> list[dict[str, Any]]:
        """Wait until the workers have ended ``count`` spans that fit, and return them in their order."""
        found: list[dict[str, Any]] = []

        def all_there() -> bool:
            found[:] = [one for one in self.all() if fits(one)]
            return len(found) >= count

        until(all_there, f"{count} spans; {self.plant.logs()}")
        assert len(found) == count
        return sorted(found, key=lambda one: one["start_time"])

    def all(self) -> list[dict[str, Any]]:
        file = self.plant.folder / "spans"
        return [json.loads(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []

    def executions(self, job: str, count: int = 1) -> list[dict[str, Any]]:
        """The spans of a job's executions."""
        return self.spans(
            lambda one: one["kind"] == "SpanKind.CONSUMER" and one["attributes"].get("messaging.message.id") == job,
            count,
        )


def _attribute(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def _trace(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"0x{span.context.trace_id:032x}"


def _id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"0x{span.context.span_id:016x}"


@pytest.fixture(scope="module", params=["default", "prefork"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    with planted(tmp_path_factory.mktemp(request.param)) as plant:
        settings = {"UMBEL_TRACES": "1", "UMBEL_LOG_FORMAT": "json", "UMBEL_POOL": request.param}
        plant.start(app="tests.integration.worker.watched:app", **settings)
        provider, exporter = TracerProvider(), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        plant.app.trace(provider)
        yield Followed(plant, exporter)


@pytest.fixture
def followed(running: Followed) -> Followed:
    running.plant.app.set_current()
    return running


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_one_trace_from_the_dispatch_through_the_run_to_what_it_dispatches(followed: Followed, flavour: str) -> None:
    job = followed.send(f"{flavour}.parent", "word")
    sent = followed.dispatched(job)
    (ran,) = followed.executions(job)
    assert (ran["context"]["trace_id"], ran["parent_id"]) == (_trace(sent), _id(sent))
    (work,) = followed.spans(lambda one: one["name"] == "work" and one["parent_id"] == ran["context"]["span_id"], 1)
    (create,) = followed.spans(lambda one: one["parent_id"] == work["context"]["span_id"], 1)
    assert create["kind"] == "SpanKind.PRODUCER"
    (child,) = followed.executions(create["attributes"]["messaging.message.id"])
    assert child["parent_id"] == create["context"]["span_id"]
    assert {one["context"]["trace_id"] for one in (ran, work, create, child)} == {_trace(sent)}
    attributes = ran["attributes"]
    assert attributes["messaging.operation.name"] == "process"
    assert (attributes["umbel.task"], attributes["umbel.attempt"]) == (f"{flavour}.parent", 1)
    assert (attributes["umbel.outcome"], ran["name"]) == ("succeeded", "process celery")
    assert ran["status"]["status_code"] == "UNSET"
    assert "word" not in json.dumps(ran)


def test_tries_are_beside_each_other_and_linked_to_the_one_before(followed: Followed) -> None:
    job = followed.send("sync.again", "word")
    assert followed.plant.ended(job).state is JobState.SUCCEEDED
    sent, tries = followed.dispatched(job), followed.executions(job, 3)
    assert {(one["context"]["trace_id"], one["parent_id"]) for one in tries} == {(_trace(sent), _id(sent))}
    links = [[link["context"]["span_id"] for link in one["links"]] for one in tries]
    assert links == [[], [tries[0]["context"]["span_id"]], [tries[1]["context"]["span_id"]]]
    assert [one["attributes"]["umbel.outcome"] for one in tries] == ["retrying", "retrying", "succeeded"]
    assert [one["attributes"]["umbel.attempt"] for one in tries] == [1, 2, 3]
    assert tries[0]["attributes"]["error.type"] == "ConnectionError"
    assert tries[0]["status"]["status_code"] == "UNSET"


def test_a_replay_is_a_trace_of_its_own_linked_to_where_the_job_came_from(followed: Followed) -> None:
    job = followed.send("sync.fail", "word")
    assert followed.plant.ended(job).state is JobState.FAILED
    sent, (failed,) = followed.dispatched(job), followed.executions(job)
    assert (failed["status"]["status_code"], failed["attributes"]["umbel.outcome"]) == ("ERROR", "failed")
    assert failed["attributes"]["error.type"] == "umbel.jobs.outcomes.Fail"
    until(lambda: followed.plant.app.dead_letters.find(), "the letter")
    followed.plant.app.dead_letters.replay(job)
    _, again = followed.executions(job, 2)
    assert again["parent_id"] is None
    assert again["context"]["trace_id"] != _trace(sent)
    assert [link["context"]["span_id"] for link in again["links"]] == [_id(sent)]


def test_what_follows_a_job_is_in_its_trace(followed: Followed) -> None:
    """Celery publishes it after the body."""
    link = followed.plant.app.signature("async.child", immutable=True, args=("linked",))
    job = followed.send("async.child", "first", link=link)
    (ran,) = followed.executions(job)
    (created,) = followed.spans(lambda one: one["parent_id"] == ran["context"]["span_id"], 1)
    (after,) = followed.executions(created["attributes"]["messaging.message.id"])
    assert after["context"]["trace_id"] == ran["context"]["trace_id"]


def test_a_message_of_nobody_who_is_followed_begins_a_trace(followed: Followed) -> None:
    app = followed.plant.app
    tracing, app.tracing = app.tracing, None
    try:
        job = followed.send("async.child", "word")
    finally:
        app.tracing = tracing
    (ran,) = followed.executions(job)
    assert ran["parent_id"] is None


def lines(plant: Plant) -> list[dict[str, Any]]:
    told = plant.workers[0].text().split("\n")[:-1]
    return [json.loads(line) for line in told if not line.startswith(_PLAIN) and line]


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_each_line_is_an_object_that_names_its_job(followed: Followed, flavour: str) -> None:
    word = f"w{flavour}{time.monotonic_ns()}"
    job = followed.send(f"{flavour}.parent", word)
    followed.plant.ended(job)
    (ran,) = followed.executions(job)
    own = {f"begins {word}", f"printed {word}"}
    until(lambda: own <= {one["message"] for one in lines(followed.plant)}, f"its lines; {followed.plant.logs()}")
    found = {one["message"]: one for one in lines(followed.plant)}
    for message in own:
        said = found[message]
        assert (said["job"], said["task"], said["queue"], said["attempt"]) == (job, f"{flavour}.parent", "celery", 1)
        assert f"0x{said['trace_id']}" == ran["context"]["trace_id"]
    assert (found[f"begins {word}"]["order"], found[f"begins {word}"]["logger"]) == (7, "shop.mail")
    assert found[f"printed {word}"]["level"] == "print"
    received = [one for one in lines(followed.plant) if one["message"].startswith(f"Task {flavour}.parent[{job}]")]
    assert {one["job"] for one in received} == {job}


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_spans_that_wait_to_be_exported_are_when_a_worker_ends(tmp_path: Path, pool: str) -> None:
    with planted(tmp_path) as plant:
        settings = {"UMBEL_TRACES": "1", "UMBEL_POOL": pool, "WATCHED_BATCHES": "1"}
        worker = plant.start(app="tests.integration.worker.watched:app", **settings)
        job = str(plant.app.send_task("async.child", ["word"]).id)
        assert plant.ended(job).state is JobState.SUCCEEDED
        worker.stop()
        followed = Followed(plant, InMemorySpanExporter())
        assert [one["attributes"]["messaging.message.id"] for one in followed.all()] == [job]


def test_the_supervisor_and_the_recorder_log_so_too(tmp_path: Path) -> None:
    with planted(tmp_path) as plant:
        history = f"sqlite:///{plant.folder / 'history.db'}"
        extra = {"UMBEL_LOG_FORMAT": "json", "UMBEL_HISTORY": "1", "UMBEL_HISTORY_URL": history}
        worker = plant.start(**extra, UMBEL_ALERT_EMAIL="ops@example.org")
        until(lambda: "Alerts are only logged" in worker.text(), f"the recorder's word; {plant.logs()}")
        worker.process.send_signal(1)
        until(lambda: "Reloading" in worker.text(), "the supervisor's word")
        worker.stop()
        said = {one["logger"]: one["message"] for one in lines(plant)}
        assert said["umbel.engine.supervisor"].startswith("Reloading")
        assert "UMBEL_ALERT_SMTP_URL" in said["umbel.monitor"]
