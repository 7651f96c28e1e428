"""The short path: a plain job, from its envelope to its settlement, with Celery's outcome and few of its steps.

Plain is a task without hooks or custom ``__call__``, with no receivers on the signals that a run sends, in a JSON
message without canvas, ETA ahead, expiry or stamps. Everything else goes Celery's own way, and so does every end but
success: a failure, a retry, a rejection are handled by Celery's ``TraceInfo``, with the same log lines, states and
callbacks. The same assertions are run through both paths.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from billiard.einfo import ExceptionInfo
from celery import signals, states
from celery.app import trace
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.saferepr import saferepr
from celery.worker import state as worker_state

from umbel.engine import current_task
from umbel.engine.batches import DONE
from umbel.engine.burial import REPLAY
from umbel.engine.ends import has_own
from umbel.engine.envelope import decode_body, is_simple
from umbel.engine.execution import Execution, current_execution
from umbel.engine.headers import WEBHOOK
from umbel.engine.job import Job, current_job
from umbel.engine.request import Request, concealed
from umbel.engine.results import EngineBackend
from umbel.engine.store import Delivery, Record

if TYPE_CHECKING:
    from umbel.engine.channel import Channel
    from umbel.engine.fetcher import Fetcher

__all__ = ("ShortPath", "body_of", "is_watched", "plain_task")

logger = logging.getLogger("celery.app.trace")
received_logger = logging.getLogger("celery.worker.strategy")

_HOOKS: Final = ("__call__", "before_start", "on_success", "on_failure", "on_retry", "after_return")
_SIGNALS: Final = (
    signals.task_received,
    signals.task_prerun,
    signals.task_postrun,
    signals.task_success,
    signals.task_failure,
    signals.task_retry,
    signals.task_internal_error,
)
_quick: Final = msgspec.json.Encoder().encode
_EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
#: Headers that Celery writes itself; others are the sender's own and stand in ``request.headers``.
_CELERY_HEADERS: Final = frozenset({*Context.__dict__, "lang", "task", "argsrepr", "kwargsrepr", "compression"})


def plain_task(task: Any, app: Any) -> bool:
    """Whether the jobs of ``task`` may go the short way, as far as the task itself decides."""
    return (
        not any(has_own(task, hook) for hook in _HOOKS)
        and task.acks_late
        and not app.conf.worker_deduplicate_successful_tasks
        and not app.conf.result_extended
        and isinstance(task.backend, EngineBackend)
        and task.backend.serializer == "json"
        and os.environ.get("UMBEL_SHORT_PATH") != "0"
    )


def is_watched(eventer: Any) -> bool:
    """Whether somebody listens to what jobs do, by signals or by events, so that none is plain."""
    for signal in _SIGNALS:
        if signal.receivers:
            return True
    return bool(eventer is not None and eventer.enabled and (not eventer.groups or "task" in eventer.groups))


class PlainRequest(Request):
    """Celery's request, filled from the envelope without building a message first."""

    def __init__(self, path: ShortPath, delivery: Delivery, raw: dict[str, Any], body: list[Any], flusher: Any) -> None:
        headers = raw["headers"]
        properties = raw["properties"]
        self._request_dict = headers
        self._body: Any = body
        self._app = path.app
        self._utc = True
        self._decoded = True
        self._content_type = self._content_encoding = None
        self._Request__payload = body
        self.id = headers["id"]
        self._type = self.name = headers["task"]
        if headers.get("shadow"):
            self.name = headers["shadow"]
        self._root_id, self._parent_id = headers.get("root_id"), headers.get("parent_id")
        limits = headers.get("timelimit")
        if limits:
            self.time_limits = limits
        self._encrypted = raw.get("umbel_secured") == "encrypt"
        self._argsrepr, self._kwargsrepr = headers.get("argsrepr", ""), headers.get("kwargsrepr", "")
        self._hostname = path.hostname
        self._eventer = path.eventer
        self._connection_errors = ()
        self._task = path.task
        ignore = headers.get("ignore_result")
        self._ignore_result = path.task.ignore_result if ignore is None else ignore
        self._eta = self._expires = None
        info = properties.get("delivery_info") or {}
        self._delivery_info = {
            "exchange": info.get("exchange"),
            "routing_key": info.get("routing_key"),
            "priority": properties.get("priority"),
            "redelivered": delivery.deliveries > 1,
        }
        self._args, self._kwargs = body[0], body[1]
        headers.update(
            properties=properties,
            reply_to=properties.get("reply_to"),
            correlation_id=properties.get("correlation_id"),
            hostname=path.hostname,
            delivery_info=self._delivery_info,
            args=body[0],
            kwargs=body[1],
        )
        self.execution = Execution(delivery, flusher, headers, unrecorded=bool(self._ignore_result))
        self._channel = path.channel

    _hard: float | None = None

    def _leave(self) -> None:
        self._channel.release_slot()

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """The job starts."""
        assert self.execution is not None
        self.worker_pid = pid
        self.time_start = self.execution.started = time.time()
        self._channel.engine.started(self.execution.delivery.seq, self._hard)
        worker_state.requests[self.id] = self
        worker_state.active_requests.add(self)
        worker_state.total_count[self.name] += 1
        worker_state.all_total_count[0] += 1
        if self._terminate_on_ack is not None:
            self.terminate(*self._terminate_on_ack)

    def succeeded(self) -> None:
        """The job has succeeded and its state is in its execution."""
        worker_state.requests.pop(self.id, None)
        worker_state.active_requests.discard(self)
        worker_state.reserved_requests.discard(self)
        if not self.acknowledged and self.execution is not None:
            self.acknowledged = True
            if self.execution.batch is not None or self.execution.checkpoints:
                self.execution.ended(DONE)
            self.execution.settle("ack")
            self._leave()


class ShortPath:
    """The short path of one task in one worker process."""

    def __init__(self, task: Any, consumer: Any, channel: Channel) -> None:
        self.task = task
        self.app = consumer.app
        self.hostname = consumer.hostname
        self.eventer = consumer.event_dispatcher
        self.channel = channel
        self.pool = consumer.pool
        self.loads_started = bool(task.track_started)
        self._expires = task.backend.expires
        self._encode = task.backend.encode
        self._prepared = task.backend.prepare_value
        self._protected = task.backend.protection.result if task.backend.protection.encrypts else None
        self._conceal = getattr(task, "conceal", None)
        listener = getattr(self.app, "endings", None)
        self._is_heard = listener is not None and listener.hears(task)
        self._pid = os.getpid()
        current_task.follow_jobs()

    def job(self, delivery: Delivery, raw: dict[str, Any], fetcher: Fetcher) -> Job | None:
        """Return the job for the pool if it is plain; None if it must go Celery's way. Called on the fetch thread."""
        headers = raw["headers"]
        if (
            raw.get("content-type") != "application/json"
            or delivery.cancelled
            or headers.get("expires") is not None
            or headers.get("stamped_headers")
            or headers.get("compression")
            or REPLAY in headers
            or headers.get("id") in worker_state.revoked
            or raw.get("content-encoding") != "utf-8"
            # What a plain client sent for later waits at the store first.
            or (headers.get("eta") is not None and not delivery.enqueued)
        ):
            return None
        text = body_of(raw)
        if text is None:
            return None
        try:
            body = decode_body(text)
        except Exception:
            return None
        if not _is_plain_body(body):
            return None
        if self._conceal is not None:
            held = concealed(self._conceal, body[0], body[1])
            body = [held["args"], held["kwargs"], body[2]]
            headers.update(held)
        return self._received(PlainRequest(self, delivery, raw, body, fetcher.flusher))

    def _received(self, request: PlainRequest) -> Job:
        if received_logger.isEnabledFor(logging.INFO):
            context = {
                "id": request.id,
                "name": request.name,
                "args": request.argsrepr,
                "kwargs": request.kwargsrepr,
                "eta": None,
            }
            received_logger.info(trace.LOG_RECEIVED, context, extra={"data": context})
        worker_state.requests[request.id] = request
        worker_state.reserved_requests.add(request)
        hard, soft = request.limits()
        request._hard = hard
        job = Job(self._run, request, self.task, soft, hard)
        # Weak, as Celery's: with a cycle each job would wait for the garbage collector.
        request._apply_result = weakref.ref(job)
        return job

    # -- the run ----------------------------------------------------------------------------------------------

    def _run(self, job: Job) -> None:
        request = job.request
        assert isinstance(request, PlainRequest)
        execution = request.execution
        assert execution is not None
        current_job.set(job)
        current_execution.set(execution)
        job.started = began = time.monotonic()
        request.on_accepted(self._pid, began)
        if job.cancelled:
            return
        if job.soft or job.hard:
            self.pool.watch()
        self._trace(job, request, execution, began)
        execution.finish()

    def _trace(self, job: Job, request: PlainRequest, execution: Execution, began: float) -> None:
        task = self.task
        context = _context(request._request_dict)
        stored = not request._ignore_result
        if stored and self.loads_started:
            # Most jobs have ended before anybody has to be woken for it.
            execution.note(request.id, lambda: self._started(request), ring=not self.pool.is_looked_after(job))
        current_task.begin(job, task)
        task.request_stack.push(context)
        try:
            try:
                result = task.run(*request._args, **request._kwargs)
                if stored:
                    execution.record(self._record(request, context, states.SUCCESS, result))
                if self._is_heard or WEBHOOK in request._request_dict:
                    task.on_success(result, request.id, request._args, request._kwargs)
            except BaseException as error:
                self._ended(request, context, error)
            else:
                self._log_success(request, result, began)
                request.succeeded()
        finally:
            current_task.end(job)
            task.request_stack.pop()

    def _record(self, request: PlainRequest, context: Context, state: str, result: Any) -> Record:
        told = request.execution.progress if request.execution is not None else None
        children = context._children
        meta = {
            "status": state,
            "result": self._prepared(result),
            "traceback": None,
            "children": [child.as_tuple() for child in children] if children else [],
            "date_done": datetime.now(UTC).isoformat(),
        }
        if context.group:
            meta["group_id"] = context.group
        if context.parent_id:
            meta["parent_id"] = context.parent_id
        meta["task_id"] = request.id
        if told is not None:
            meta["progress"] = [told[1], told[1], told[2]]
        expires = time.time() + self._expires if self._expires else None
        text = self._text(meta, result)
        if self._protected is not None:
            text = self._protected(request.id, state, text)
        return Record(request.id, state, True, text, expires=expires)

    def _text(self, meta: dict[str, Any], result: Any) -> str:
        # What needs no encoder of Kombu's is said by a quicker one.
        if not meta["children"] and "progress" not in meta and is_simple(result):
            try:
                return _quick(meta).decode()
            except (msgspec.EncodeError, OverflowError, TypeError, UnicodeError):
                pass
        return str(self._encode(meta))

    def _started(self, request: PlainRequest) -> Record:
        meta = {
            "status": states.STARTED,
            "result": {"pid": self._pid, "hostname": self.hostname},
            "traceback": None,
            "children": [],
            "date_done": None,
            "task_id": request.id,
        }
        told = request.execution.progress if request.execution is not None else None
        if told is not None:
            meta["progress"] = told
        return Record(request.id, states.STARTED, False, self._encode(meta))

    def _log_success(self, request: PlainRequest, result: Any, began: float) -> None:
        if logger.isEnabledFor(logging.INFO):
            trace.info(
                trace.LOG_SUCCESS,
                {
                    "id": request.id,
                    "name": request.name,
                    "return_value": saferepr(result, self.task.resultrepr_maxsize),
                    "runtime": time.monotonic() - began,
                    "args": request.argsrepr,
                    "kwargs": request.kwargsrepr,
                },
            )

    def _ended(self, request: PlainRequest, context: Context, error: BaseException) -> None:
        """Let Celery handle any other end than success."""
        if isinstance(error, Reject):
            info = ExceptionInfo(internal=True)
            trace.TraceInfo(trace.REJECTED, error).handle_reject(self.task, context)
        elif isinstance(error, Ignore):
            info = ExceptionInfo(internal=True)
            trace.TraceInfo(trace.IGNORED, error).handle_ignore(self.task, context)
        elif isinstance(error, Retry):
            info = trace.TraceInfo(states.RETRY, error).handle_error_state(self.task, context, call_errbacks=False)
        elif isinstance(error, Exception):
            info = trace.TraceInfo(states.FAILURE, error).handle_error_state(self.task, context)
        else:
            raise error
        trace.traceback_clear(error)
        request.on_failure(info, return_ok=True)


def _context(headers: dict[str, Any]) -> Context:
    context: Context = Context.__new__(Context)
    values = context.__dict__
    values.update(headers)
    values.update(called_directly=False, is_eager=False, **_EMBED)
    limits = headers.get("timelimit")
    if isinstance(limits, (list, tuple)) and len(limits) >= 2:
        values["time_limit"], values["soft_time_limit"] = limits[0], limits[1]
    if headers.get("headers") is None:
        own = None if headers.keys() <= _CELERY_HEADERS else headers.keys() - _CELERY_HEADERS
        values["headers"] = {key: headers[key] for key in own} if own else None
    return context


def body_of(raw: dict[str, Any]) -> str | bytes | None:
    """Return the body as Umbel's clients and as plain Celery's send it; None for any other."""
    body, encoding = raw["body"], raw["properties"].get("body_encoding")
    if encoding == "utf-8":
        return body  # type: ignore[no-any-return]
    return b64decode(body) if encoding == "base64" else None


def _is_plain_body(body: Any) -> bool:
    return (
        isinstance(body, list)
        and len(body) == 3
        and isinstance(body[0], list)
        and isinstance(body[1], dict)
        and isinstance(body[2], dict)
        and not any(body[2].values())
    )
