"""Celery's request, with what it writes gathered into one settlement.

Everything that Celery's worker does with a request stays Celery's; only *where* states and acknowledgements
go is ours: into the execution, which settles them with the job's end in one step.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import signals, states
from celery.app.trace import fast_trace_task, trace_task_ret
from celery.exceptions import Ignore, Reject, Retry, TaskRevokedError
from celery.utils.saferepr import saferepr
from celery.worker import request as celery_request
from celery.worker import state as worker_state

from umbel.engine.batches import CANCELLED, DONE
from umbel.engine.burial import REPLAY, replayed_key
from umbel.engine.ends import End, Gathering, Kind, gathering
from umbel.engine.execution import Execution
from umbel.engine.job import current_job
from umbel.engine.outcome import CancelledItself, Replaced
from umbel.engine.protection import HIDDEN
from umbel.engine.store import Delivery

__all__ = ("Request", "concealed")

#: What a prefork child's end looks like; billiard reports the last two as results.
_LOST: Final = (WorkerLostError, SystemExit, KeyboardInterrupt)

#: What events tell of a job's end, beside its times.
_TOLD: Final = frozenset({"result", "exception", "traceback"})
_REPR_MOST: Final = 1024

logger = logging.getLogger(__name__)


class _Covered(tuple[Any, ...]):
    """A decoded body of which no log shows anything."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


def concealed(conceal: Callable[[Any, Any], tuple[Any, Any]], args: Any, kwargs: Any) -> dict[str, Any]:
    """Return what a request holds of the arguments of a task that has sensitive ones."""
    args, kwargs = conceal(args, kwargs)
    shown = {"argsrepr": saferepr(args, _REPR_MOST), "kwargsrepr": saferepr(kwargs, _REPR_MOST)}
    return {"args": args, "kwargs": kwargs, **shown}


class Request(celery_request.Request):
    """A job that a worker has been given."""

    execution: Execution | None = None
    acknowledged: bool
    _args: Any
    _kwargs: Any
    _content_type: str | None
    _apply_result: Callable[[], Any] | None
    _eta: datetime | None
    time_limits: tuple[float | None, float | None]

    def __init__(self, message: Any, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self._encrypted = getattr(message, "secured", "") == "encrypt"
        self._cover(getattr(self._task, "conceal", None))
        delivery: Delivery | None = getattr(message, "delivery", None)
        fetcher = message.channel.connection.fetcher if delivery is not None else None
        if delivery is None or fetcher is None:
            return
        self.execution = Execution(delivery, fetcher.flusher, self._request_dict, unrecorded=bool(self._ignore_result))
        # For a prefork child, whose states are guarded by when their message was queued.
        told = {"umbel_since": delivery.enqueued, "umbel_deliveries": delivery.deliveries}
        self._request_dict["properties"] = {**(message.properties or {}), **told}
        if fetcher.in_process and self._content_type:
            # Decoded once: the tracer runs in this process and takes the values as they are.
            self._body, self._content_type = (self._args, self._kwargs, self._payload[2]), None
        # The store held it until it was due, by its own clock; Celery's timer has nothing left to do.
        self._eta = None
        if REPLAY in self._request_dict:
            self.on_success = self._on_replayed  # type: ignore[method-assign]

    #: Whether it was in the store for nobody to read.
    _encrypted = False

    def _cover(self, conceal: Callable[[Any, Any], tuple[Any, Any]] | None) -> None:
        """Keep what is sensitive from hooks, signals, inspection and logs; the tracer takes the values as they are."""
        if conceal is not None:
            held = concealed(conceal, self._args, self._kwargs)
            self._args, self._kwargs = held["args"], held["kwargs"]
            self._argsrepr, self._kwargsrepr = held["argsrepr"], held["kwargsrepr"]
            self._request_dict.update(held)
        if conceal is not None or self._encrypted:
            self._body, self._content_type = _Covered((self._args, self._kwargs, self._payload[2])), None

    def info(self, safe: bool = False) -> Any:
        """Return what inspection shows of the job."""
        return super().info(safe or self._encrypted)

    def send_event(self, type: str, **fields: Any) -> None:
        """Send an event; where everything is encrypted it says nothing of what came of the job."""
        if self._app.protection.encrypts:
            fields = {name: HIDDEN if name in _TOLD else value for name, value in fields.items()}
        super().send_event(type, **fields)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Celery derives a class for each task, which keeps the limits that the task had when the worker started.
        super().__init_subclass__(**kwargs)
        if "execute_using_pool" in cls.__dict__:
            derived: Any = cls
            derived.execute_using_pool, derived.on_success = Request.execute_using_pool, Request.on_success

    def limits(self) -> tuple[float | None, float | None]:
        """Return the hard and the soft limit in seconds: the message's own, else what the task has now."""
        hard, soft = self.time_limits
        hard, soft = hard or self._task.time_limit, soft or self._task.soft_time_limit
        # A soft limit that only comes with the hard one is none: prefork would arm the hard one after it.
        return hard, (None if hard and soft and soft >= hard else soft)

    def execute_using_pool(self, pool: Any, **kwargs: Any) -> Any:
        """Hand the job to the pool, as Celery does, with the limits of this moment."""
        if self.revoked():
            raise TaskRevokedError(self.id)
        hard, soft = self.limits()
        trace = fast_trace_task if self._app.use_fast_trace_task else trace_task_ret
        result = pool.apply_async(
            trace,
            args=(
                self._type,
                self.id,
                self._request_dict,
                self._body,
                self._content_type,
                self._content_encoding,
            ),
            accept_callback=self.on_accepted,
            timeout_callback=self.on_timeout,
            callback=self.on_success,
            error_callback=self.on_failure,
            soft_timeout=soft,
            timeout=hard,
            correlation_id=self.id,
        )
        self._apply_result = weakref.ref(result) if result is not None else None
        return result

    #: What becomes of the message once the block that gathers its end is left.
    _held: str | None = None
    _gathering = False
    #: Its dead letter has been written: whatever still comes from the body is no other end.
    _buried = False

    @contextlib.contextmanager
    def settling(self) -> Iterator[None]:
        """Gather what Celery writes in this block into this request's execution, and settle it all at its end.

        Celery acknowledges some failures before it stores them.
        """
        if self.execution is None or self._gathering:
            yield
            return
        self._gathering = True
        told = Gathering(self)
        token = gathering.set(told)
        try:
            with self.execution.current():
                yield
        finally:
            gathering.reset(token)
            self._gathering = False
            held, self._held = self._held, None
            execution = self.execution

            def write() -> None:
                if held is not None:
                    execution.settle(held)
                execution.finish()

            told.conclude(write)

    @property
    def context(self) -> Any:
        """Celery's context of the job, as its task would have it."""
        return self._context

    def _tell(self, kind: Kind, error: BaseException, *, expired: bool = False) -> None:
        """Let whoever listens hear of an end for which Celery calls no handler of the task's."""
        listener = getattr(self._app, "endings", None)
        if listener is not None:
            listener.tell(End(kind=kind, task=self._task, request=self._context, error=error, expired=expired))

    def give_up(self) -> None:
        """Drop whatever still comes from the running body; the request itself goes on to write its end."""
        if self.execution is not None:
            self.execution = self.execution.successor()

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """The job starts."""
        if self.execution is not None:
            job = current_job.get()
            self._message.channel.engine.started(self.execution.delivery.seq, job.hard if job is not None else None)
            if not self._task.acks_late:
                self._tell_started(pid)
        super().on_accepted(pid, time_accepted)
        if self.execution is not None:
            self.execution.started = time.time()

    def _tell_started(self, pid: int) -> None:
        """Leave a state behind when the message goes, so that the job is known while it runs."""
        if self.execution is not None and self._task.track_started and not self._ignore_result:
            said = {"pid": pid, "hostname": self._hostname}
            with self.execution.current():
                # A prefork child may have told more by now.
                self._task.backend.store_result(self.id, said, states.STARTED, request=self._context, first=True)

    def acknowledge(self) -> None:
        """Settle the message as done, with everything gathered so far."""
        self._settle("ack", super().acknowledge)

    def reject(self, requeue: bool = False) -> None:
        """Give the message back, or make a dead letter of it."""
        if self.execution is None:
            super().reject(requeue)
            return
        if not self.acknowledged:
            if requeue:
                # It runs again, whatever was thought of it before.
                self.execution.entry.letter = self.execution.entry.end = None
            else:
                self._bury(Reject("rejected"), reason="rejected by its task")
            self._settle("requeue" if requeue else "ack", None)
            self.send_event("task-rejected", requeue=requeue)

    def fail(self, reason: str) -> None:
        """Fail the job without running it, as Celery would have, and keep its message as a dead letter."""
        error: Exception = WorkerLostError(reason) if reason.startswith("worker lost") else TimeLimitExceeded(reason)
        with self.settling():
            self.task.backend.mark_as_failure(self.id, error, request=self._context, store_result=self.store_errors)
            self.task.on_failure(error, self.id, self.args, self.kwargs, None)
            signals.task_failure.send(
                sender=self.task,
                task_id=self.id,
                exception=error,
                args=self.args,
                kwargs=self.kwargs,
                traceback=None,
                einfo=None,
            )
            self.send_event("task-failed", exception=repr(error), traceback=None)
            self._bury(error, reason=reason)
            self._settle("ack", None)
        logger.error("%s[%s] failed: %s.", self.name, self.id, reason)

    def interrupt(self) -> None:
        """Give a started job back because its worker ends: no attempt is used up."""
        if self.execution is not None and not self.acknowledged:
            worker_state.task_ready(self)
            self.give_up()
            self._settle("requeue", None)

    def _bury(self, error: BaseException, *, reason: str | None = None, traceback: str = "") -> None:
        """Keep a dead letter, once, with the end of a job that has failed for good."""
        ended = self._buried or self._already_revoked or (self.acknowledged and self._task.acks_late)
        if self.execution is not None and not ended:
            self._buried = True
            self.execution.bury(error, reason=reason, traceback=traceback)

    def _ended(self, outcome: str) -> None:
        """Count the end of a batch's member, unless it has been given back."""
        if self.execution is not None and not (self.acknowledged and self._task.acks_late):
            self.execution.ended(outcome)

    def _end_replay(self, *, closed: bool) -> None:
        if self.execution is not None and REPLAY in self._request_dict:
            self.execution.end_replay(replayed_key(self._request_dict), closed=closed)

    def _settle(self, action: str, otherwise: Any) -> None:
        execution = self.execution
        if execution is None:
            otherwise()
        elif not self.acknowledged:
            self.acknowledged = True
            if self._gathering:
                self._held = action
            else:
                execution.settle(action)
            self._leave()

    def _leave(self) -> None:
        channel = self._message.channel
        channel.qos.forget(self._message.delivery_tag)
        channel.release_slot()

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Cancel the job, running or not."""
        self.give_up()
        with self.settling():
            super().terminate(pool, signal)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A time limit has passed; after a hard one the body may do what it likes, nobody listens."""
        if not soft:
            self.give_up()
        with self.settling():
            if not soft:
                self._bury(TimeLimitExceeded(timeout), reason=_over(timeout))
            super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """The job failed, was rejected, ignored, or its process was lost."""
        with self.settling():
            error = _error(exc_info)
            if self.execution is not None and isinstance(error, _LOST):
                return self._on_crash(exc_info)
            if isinstance(error, CancelledItself):
                return self._announce_revoked(str(error), False, None, False)
            if isinstance(error, Reject):
                if not error.requeue:
                    said = f": {error.reason}" if error.reason else ""
                    self._bury(error, reason=f"rejected by its task{said}")
                    self._tell("failure", error)
            elif isinstance(error, Ignore):
                self._end_replay(closed=True)
                if not isinstance(error, Replaced):
                    self._ended(DONE)
            elif not isinstance(error, (Retry, Terminated)):
                # A prefork child that was killed for its limit says so here.
                reason = _over(error.args[0]) if isinstance(error, TimeLimitExceeded) and error.args else None
                self._bury(error, reason=reason, traceback=str(exc_info.traceback or ""))
            if isinstance(error, MemoryError):
                exc_info = _survived(exc_info)
            return super().on_failure(exc_info, send_failed_event, return_ok)

    def on_success(self, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        """The body has come to its end, as Celery's tracer says how."""
        if not failed__retval__runtime[0]:
            self._ended(DONE)
        result = super().on_success(failed__retval__runtime, **kwargs)
        if self.execution is not None:
            # Acknowledged before it began, it has something to tell all the same.
            self.execution.finish()
        return result

    def _on_replayed(self, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        """The replay of a dead letter has come to its end: a success drops the letter."""
        if not failed__retval__runtime[0]:
            self._end_replay(closed=True)
        # The class's own, which this stands in front of.
        del self.on_success
        return self.on_success(failed__retval__runtime, **kwargs)

    def _on_crash(self, exc_info: Any) -> None:
        """A prefork child died with this job: it runs again, and the engine counts how often that happens."""
        worker_state.task_ready(self)
        logger.warning("%s[%s]: %s", self.name, self.id, _error(exc_info))
        if not self._already_revoked:
            self._settle("crash", None)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        with self.settling():
            self._end_replay(closed=False)
            self._tell("cancel", TaskRevokedError(reason), expired=expired)
            self._ended(CANCELLED)
            super()._announce_revoked(reason, terminated, signum, expired)

    def _announce_cancelled(self, emit_retry: bool = True) -> None:
        with self.settling():
            super()._announce_cancelled(emit_retry)


def _over(limit: float) -> str:
    return f"hard time limit of {limit:g} s exceeded"


def _survived(exc_info: Any) -> Any:
    """Return the failure under a name at which Celery ends it like any other: a ``MemoryError`` it raises again.

    What could not be had was the one job's wish: its process lives, and would hold the job for ever.
    """
    found = copy.copy(exc_info)
    found.exception = RuntimeError(f"MemoryError: {_error(exc_info)}")
    return found


def _error(exc_info: Any) -> Any:
    error = exc_info.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error
