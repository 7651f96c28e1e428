"""Following jobs from their dispatch: by every way in which one can be dispatched, and at no cost when it is off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import chain, group
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes as conventions
from opentelemetry.semconv.attributes import error_attributes
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from umbel import Retry, Umbel, Unique
from umbel.engine import envelope
from umbel.jobs.outbox_letter import Letter
from umbel.jobs.outbox_table import TABLE

TRACED = "traceparent"


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def exporter(provider: TracerProvider) -> InMemorySpanExporter:
    found = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(found))
    return found


@pytest.fixture
def app(make_app: Callable[..., Umbel], provider: TracerProvider) -> Umbel:
    jobs = make_app()
    jobs.trace(provider)

    @jobs.task(name="shop.add")
    def add(*numbers: int) -> int:
        return sum(numbers)

    @jobs.task(name="shop.once", unique=Unique(for_="1m"))
    def once(number: int) -> None: ...

    return jobs


def waiting(app: Umbel) -> list[dict[str, Any]]:
    app.engine.open_lease("here@test", ["celery"], 100)
    return [envelope.decode(one.payload)["headers"] for one in app.engine.fetch({"celery": 0}, 1000)]


def parent_of(headers: dict[str, Any]) -> tuple[str, str]:
    _, trace_id, span_id, _ = headers[TRACED].split("-")
    return trace_id, span_id


def ids(span: ReadableSpan) -> tuple[str, str]:
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


WAYS: dict[str, Callable[[Umbel], Any]] = {
    "delay": lambda app: app.tasks["shop.add"].delay(1),
    "short, with options": lambda app: app.tasks["shop.add"].apply_async((1,), countdown=0, headers={"own": "x"}),
    "Celery's own way": lambda app: app.tasks["shop.add"].apply_async((1,), expires=60, link=app.signature("x")),
    "send_task": lambda app: app.send_task("shop.add", [1]),
    "send_task, another's": lambda app: app.send_task("theirs.add", [1], expires=60),
    "unique": lambda app: app.tasks["shop.once"].delay(1),
    "signature": lambda app: app.signature("shop.add", (1,)).apply_async(),
    "chain": lambda app: chain(app.tasks["shop.add"].s(1), app.tasks["shop.add"].s(2)).apply_async(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_dispatch_is_a_span_whose_context_its_message_carries(
    app: Umbel, exporter: InMemorySpanExporter, provider: TracerProvider, way: str
) -> None:
    with provider.get_tracer("shop").start_as_current_span("request") as request:
        WAYS[way](app)
    (headers,) = waiting(app)
    sent, _ = exporter.get_finished_spans()
    assert parent_of(headers) == ids(sent)
    assert sent.parent == request.get_span_context()
    assert sent.kind is trace.SpanKind.PRODUCER
    attributes = dict(sent.attributes or {})
    assert attributes["messaging.message.id"] == headers["id"]
    assert attributes["umbel.task"] == headers["task"]
    assert attributes["messaging.operation.name"] in ("send", "create")
    assert sent.name.split()[0] == attributes["messaging.operation.name"]


def test_a_whole_enqueue_many_is_one_span(app: Umbel, exporter: InMemorySpanExporter) -> None:
    assert len(list(app.tasks["shop.add"].enqueue_many(range(700)))) == 700
    (sent,) = exporter.get_finished_spans()
    assert {parent_of(headers) for headers in waiting(app)} == {ids(sent)}
    assert (sent.attributes or {})["messaging.batch.message_count"] == 700


def test_members_of_a_group_and_of_a_batch_are_spans(app: Umbel, exporter: InMemorySpanExporter) -> None:
    add = app.tasks["shop.add"]
    group(add.s(1), add.s(2)).apply_async()
    with app.batch("import") as batch:
        batch.add(add.s(1))
        batch.add_many(add, [1, 2])
    headers = waiting(app)
    assert len(headers) == 5
    assert {parent_of(one) for one in headers} == {ids(one) for one in exporter.get_finished_spans()}


def test_what_a_transaction_dispatches_is_followed_through_the_outbox(
    make_app: Callable[..., Umbel], provider: TracerProvider, exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    app = make_app(database_url=url)
    app.trace(provider)
    engine = create_engine(url)
    TABLE.metadata.create_all(engine)
    with Session(engine) as session, session.begin(), app.in_transaction(session):
        app.send_task("shop.add", [1])
        session.flush()
        (letter,) = session.query(Letter).all()
        headers = json.loads(letter.payload)["headers"]
        session.rollback()
    (sent,) = exporter.get_finished_spans()
    assert (sent.name, parent_of(headers)) == ("create celery", ids(sent))
    engine.dispose()


def test_a_message_that_has_a_context_keeps_it(app: Umbel, exporter: InMemorySpanExporter) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    app.send_task("shop.add", [1], headers={TRACED: given})
    assert waiting(app)[0][TRACED] == given
    assert exporter.get_finished_spans() == ()


def test_a_dispatch_that_fails_is_an_error(
    app: Umbel, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise RuntimeError("away")

    monkeypatch.setattr(type(app.engine), "enqueue", away)
    with pytest.raises(RuntimeError):
        app.tasks["shop.add"].delay(1)
    (sent,) = exporter.get_finished_spans()
    assert sent.status.status_code is trace.StatusCode.ERROR


@pytest.mark.parametrize("eager", ["apply", "always"])
def test_an_eager_job_is_a_span_here(
    app: Umbel, exporter: InMemorySpanExporter, provider: TracerProvider, eager: str
) -> None:
    with provider.get_tracer("shop").start_as_current_span("request") as request:
        if eager == "apply":
            app.tasks["shop.add"].apply((1, 2))
        else:
            app.conf.task_always_eager = True
            app.tasks["shop.add"].delay(1, 2)
    ran, _ = exporter.get_finished_spans()
    assert ran.kind is trace.SpanKind.CONSUMER
    assert ran.parent == request.get_span_context()


def test_a_function_that_is_just_called_is_no_job(app: Umbel, exporter: InMemorySpanExporter) -> None:
    assert app.tasks["shop.add"](1, 2) == 3
    assert exporter.get_finished_spans() == ()


def test_hooks_that_are_added_later_are_followed_and_nothing_is_twice(
    app: Umbel, exporter: InMemorySpanExporter
) -> None:
    heard = []
    app.hook.before(heard.append)

    @app.task(name="shop.retried", retry=Retry(1, backoff=0))
    def retried() -> None:
        raise ConnectionError

    app.tasks["shop.add"].apply((1,))
    app.tasks["shop.retried"].apply()
    assert len(heard) == 3
    outcomes = [(one.attributes or {})["umbel.outcome"] for one in exporter.get_finished_spans()]
    assert outcomes == ["succeeded", "retrying", "failed"]


def test_what_a_job_raised_is_not_shown_where_all_is_encrypted(
    make_app: Callable[..., Umbel], provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    app = make_app(payload_keys="k:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", payload_protection="encrypt")
    app.trace(provider)

    @app.task(name="shop.secret")
    def secret(word: str) -> None:
        raise ValueError(word)

    secret.apply(("hidden",))
    app.send_task("shop.secret", ["hidden"])
    told = "".join(one.to_json() for one in exporter.get_finished_spans())
    assert "ValueError" in told
    assert "hidden" not in told


def test_names_are_those_of_the_semantic_conventions(app: Umbel, exporter: InMemorySpanExporter) -> None:
    known = {value for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str)}
    list(app.tasks["shop.add"].enqueue_many([1]))
    app.tasks["shop.add"].delay(1)
    app.tasks["shop.add"].apply(("x",))
    used = {name for one in exporter.get_finished_spans() for name in one.attributes or {}}
    assert used - known - {error_attributes.ERROR_TYPE} == {"umbel.task", "umbel.attempt", "umbel.outcome"}


def test_off_nothing_is_put_around_and_no_header_is_added(make_app: Callable[..., Umbel]) -> None:
    app = make_app()

    @app.task(name="shop.plain")
    def plain() -> None: ...

    assert app.tracing is None
    assert app.tasks["shop.plain"].declared is None
    plain.delay()
    (headers,) = waiting(app)
    assert TRACED not in headers


def test_the_setting_switches_it_on(make_app: Callable[..., Umbel]) -> None:
    app = make_app(traces=True)

    @app.task(name="shop.plain")
    def plain() -> None: ...

    assert app.tracing is not None
    assert app.tasks["shop.plain"].declared is not None
