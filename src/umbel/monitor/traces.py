"""Traces of OpenTelemetry: one for a job and all that led to it and follows from it, across processes.

A dispatch is a span of kind producer, and an execution one of kind consumer, by the semantic conventions for messaging.
The context goes in the message's headers in the W3C's form (``traceparent``), or as the process is configured to:
through the short way, batches, chains and the outbox, and to and from Celery's own instrumentation.

A try after the first is a span beside the first one, with a link to the try before it; the replay of a dead letter
begins a trace of its own, linked to where its job came from. What a whole ``enqueue_many`` queues is one producer span.
A message that has a context already keeps it. A span has no arguments, no result, and where messages are encrypted
nothing of what the job raised.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from celery import signals
from celery.exceptions import Ignore, Reject, Retry
from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from umbel.engine.collecting import sink
from umbel.engine.headers import REPLAY
from umbel.engine.job import Cancelled
from umbel.engine.outcome import CancelledItself, is_running
from umbel.engine.registry import is_rabbit

__all__ = ("LINK", "Traces")

#: Of a try after the first: the span of the one before it.
LINK: Final = "umbel_link"
#: Where a job's span is known to what Celery publishes after its body.
_SPAN: Final = "_umbel_span"
_FLUSH_MILLISECONDS: Final = 5000
_W3C: Final = TraceContextTextMapPropagator()


class Traces:
    """Follows the jobs of one application."""

    def __init__(self, app: Any, provider: Any = None) -> None:
        self._app: Final = app
        self._tracer: Final = trace.get_tracer("umbel", tracer_provider=provider)
        self._provider: Final = provider
        for ending in (signals.worker_shutdown, signals.worker_process_shutdown):
            ending.connect(self._flush)

    @functools.cached_property
    def _system(self) -> str:
        # Not before it is needed: reading the configuration ends its making.
        return "rabbitmq" if is_rabbit(self._app.conf.broker_url) else "umbel"

    def _flush(self, **_: Any) -> None:
        """Let spans that wait to be exported go: a worker's process ends without what the interpreter does at exit."""
        flush = getattr(self._provider or trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(_FLUSH_MILLISECONDS)

    # -- dispatch -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def sending(
        self, task: str, task_id: str | None, queue: Any, options: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Make a span of the dispatch in this block; yield its options with the context in the headers."""
        headers = dict(options.get("headers") or {})
        request = self._running()
        if request is not None and task_id is not None and request.id == task_id:
            self._go_on(headers, request)
        if _fields() & headers.keys():
            yield {**options, "headers": headers}
            return
        operation = "send" if sink() is None else "create"
        with self._tracer.start_as_current_span(
            _named(operation, queue),
            context=self._parent(request),
            kind=SpanKind.PRODUCER,
            attributes=self._about(operation, task, task_id, queue),
        ):
            propagate.inject(headers)
            yield {**options, "headers": headers}

    def many(
        self, task: str, options: Mapping[str, Any], queue: Callable[[dict[str, Any]], Iterator[str]]
    ) -> Iterator[str]:
        """Yield what ``queue`` yields for options with one context for all of its messages."""
        place = options.get("queue")
        span = self._tracer.start_span(
            _named("send", place),
            context=self._parent(self._running()),
            kind=SpanKind.PRODUCER,
            attributes=self._about("send", task, None, place),
        )
        headers = dict(options.get("headers") or {})
        propagate.inject(headers, trace.set_span_in_context(span))
        count = 0
        try:
            for task_id in queue({**options, "headers": headers}):
                count += 1
                yield task_id
        except Exception as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.set_attribute("messaging.batch.message_count", count)
            span.end()

    def _running(self) -> Any:
        task = self._app.current_worker_task
        return task.request if task is not None else None

    def _go_on(self, headers: dict[str, Any], request: Any) -> None:
        """Let a job's next try stay where the job came from, and know the try before it."""
        context = self._parent(request)
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, context)
        if "traceparent" in carrier:
            headers[LINK] = carrier["traceparent"]

    def _parent(self, request: Any) -> Context | None:
        """Return the context here; after a job's body, that of its span. None is the one that is current."""
        if request is None or trace.get_current_span().get_span_context().is_valid:
            return None
        found: Context | None = request.__dict__.get(_SPAN)
        return found

    # -- the run --------------------------------------------------------------------------------------------------

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run``, the body of ``task`` with all that is around it, as a span."""

        @functools.wraps(run)
        def traced(*args: Any, **kwargs: Any) -> Any:
            if not is_running(task):
                return run(*args, **kwargs)
            span, context = self._begin(task, task.request)
            token = contexts.attach(context)
            try:
                result = run(*args, **kwargs)
            except BaseException as error:
                self._end(span, error)
                raise
            else:
                self._end(span, None)
                return result
            finally:
                contexts.detach(token)

        return traced

    def _begin(self, task: Any, request: Any) -> tuple[Span, Context]:
        headers = {key: value for key, value in (request.headers or {}).items() if isinstance(value, str)}
        origin = propagate.extract(headers, Context())
        came_from = trace.get_current_span(origin).get_span_context()
        links = [Link(before)] if (before := _linked(headers)).is_valid else []
        parent: Context | None = origin
        if REPLAY in headers and came_from.is_valid:
            # Days may lie between: a trace of its own.
            parent, links = Context(), [Link(came_from), *links]
        elif not came_from.is_valid and (request.is_eager or not request.delivery_info):
            # Run here and now, by whoever is followed here.
            parent = None
        queue = (request.delivery_info or {}).get("routing_key")
        attributes = self._about("process", task.name, request.id, queue)
        attributes["umbel.attempt"] = (request.retries if isinstance(request.retries, int) else 0) + 1
        if request.root_id:
            attributes["messaging.message.conversation_id"] = str(request.root_id)
        span = self._tracer.start_span(
            _named("process", queue), context=parent, kind=SpanKind.CONSUMER, attributes=attributes, links=links
        )
        context = trace.set_span_in_context(span, parent)
        request.__dict__[_SPAN] = context
        return span, context

    def _end(self, span: Span, error: BaseException | None) -> None:
        outcome = _outcome(error)
        span.set_attribute("umbel.outcome", outcome)
        cause = error.exc if isinstance(error, Retry) and isinstance(error.exc, BaseException) else error
        if cause is not None and outcome in ("failed", "retrying"):
            span.set_attribute("error.type", _type(cause))
            if not self._app.protection.encrypts:
                span.record_exception(cause)
        if outcome == "failed":
            span.set_status(Status(StatusCode.ERROR, _type(cause) if cause is not None else None))
        span.end()

    # -- both -----------------------------------------------------------------------------------------------------

    def _about(self, operation: str, task: str, task_id: str | None, queue: Any) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "messaging.system": self._system,
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "umbel.task": task,
        }
        if task_id is not None:
            attributes["messaging.message.id"] = str(task_id)
        if queue:
            attributes["messaging.destination.name"] = _name(queue)
        return attributes


def _fields() -> set[str]:
    return set(propagate.get_global_textmap().fields)


def _named(operation: str, queue: Any) -> str:
    return f"{operation} {_name(queue)}" if queue else operation


def _name(queue: Any) -> str:
    return str(getattr(queue, "name", queue))


def _linked(headers: Mapping[str, str]) -> SpanContext:
    carrier = {"traceparent": headers.get(LINK, "")}
    return trace.get_current_span(_W3C.extract(carrier, Context())).get_span_context()


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "succeeded"
    if isinstance(error, Retry):
        return "retrying"
    if isinstance(error, (CancelledItself, Cancelled)):
        return "cancelled"
    if isinstance(error, Ignore):
        return "ignored"
    if isinstance(error, Reject):
        return "interrupted" if error.requeue else "failed"
    return "failed"


def _type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
