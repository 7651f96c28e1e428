"""One job in the pool: what Celery is given as a handle, and how its body can be interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import inspect
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import greenlet
from billiard.common import terminate_handler_fired
from celery._state import get_current_task, get_current_worker_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

from umbel.engine.outcome import Outcome, is_running, meaning_of

if TYPE_CHECKING:
    from umbel.engine.request import Request

__all__ = ("Cancelled", "GivenBack", "Job", "SoftLimitPassed", "concluded", "contained", "current_job", "interruptible")


#: What billiard ends a child with at SIGTERM.
_TERMINATED: Final = -(256 - 15)
_STOPPED: Final = "its worker stops"


def contained(error: BaseException) -> BaseException:
    """Return what ``error`` means that a body has raised: only an ``Exception`` may leave a job.

    ``sys.exit()`` and its like would end a thread that others need, the event loop, or a prefork child, over and over.
    """
    if isinstance(error, (Exception, Cancelled, asyncio.CancelledError, GeneratorExit, greenlet.GreenletExit)):
        return error
    if current_job.get() is None and get_current_worker_task() is None:
        return error
    if terminate_handler_fired():
        # Not the body's own doing: a prefork child is being terminated.
        return error
    return RuntimeError(
        f"The job raised {type(error).__name__}({error}), which would end its whole process: "
        "return, or raise an exception."
    )


class SoftLimitPassed(SoftTimeLimitExceeded, asyncio.CancelledError):
    """Celery's exception in a coroutine, where it is a cancellation too: a task group ends its children for it."""


class Cancelled(BaseException):
    """Raised inside a sync job that is cancelled. Not an Exception, so that a broad handler does not swallow it."""


class GivenBack(Cancelled):
    """Raised inside a job in a prefork child whose worker ends: its message goes back, and no attempt is used."""


class Job:
    """A job that the pool has been given. Celery calls :meth:`terminate`."""

    __slots__ = (
        "__weakref__",
        "_interrupted",
        "_lock",
        "_thread_id",
        "asyncio_task",
        "cancelled",
        "coroutine",
        "failing_since",
        "hard",
        "loop",
        "loop_thread",
        "queue",
        "rank",
        "request",
        "run",
        "soft",
        "soft_raised",
        "soft_sent",
        "started",
        "stopped_at",
        "stopped_by",
        "task",
    )

    def __init__(
        self, run: Callable[[Job], None], request: Request | None, task: Any, soft: float | None, hard: float | None
    ) -> None:
        self.run: Final = run
        self.request: Final = request
        self.task: Final = task
        delivery = request.execution.delivery if request is not None and request.execution is not None else None
        self.queue: Final = delivery.queue if delivery is not None else None
        self.rank: Final = delivery.rank if delivery is not None else 0
        self.soft: Final = soft
        self.hard: Final = hard
        self.started: float | None = None
        #: When it was told to stop; how long it may take from then on is bounded.
        self.stopped_at: float | None = None
        #: When its hard limit had passed, and what the application does about that began.
        self.failing_since: float | None = None
        self.cancelled = False
        #: ``cancelled``, or ``interrupted`` when its worker ends.
        self.stopped_by = "cancelled"
        self.soft_raised = False
        self.soft_sent = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.asyncio_task: asyncio.Task[Any] | None = None
        #: Its body, and the thread in which that is stepped; for whoever asks where it stands.
        self.coroutine: Any = None
        self.loop_thread: int | None = None
        self._thread_id: int | None = None
        self._interrupted = False
        self._lock = threading.Lock()

    def goes_before(self, other: Job) -> bool:
        """Whether this job is the more urgent one of two of the same queue."""
        return self.rank < other.rank and self.queue == other.queue and self.queue is not None

    def terminate(self, signal: Any = None) -> None:
        """Stop the job: a coroutine at its next await, a thread at its next bytecode."""
        self.cancelled = True
        self.stopped_at = self.stopped_at or time.monotonic()
        self._interrupt(Cancelled)

    def give_back(self) -> type[BaseException] | None:
        """Give the job back from within its own body, because its worker ends; return what the body is to raise then.

        None for a job that was acknowledged before it began: no other worker would run it.
        """
        if self.request is None or self.request.acknowledged:
            return None
        self.request.interrupt()
        self.stopped_by, self.cancelled = "interrupted", True
        self.stopped_at = self.stopped_at or time.monotonic()
        return Cancelled if self.asyncio_task is None else asyncio.CancelledError

    def soften(self) -> None:
        """Raise Celery's ``SoftTimeLimitExceeded`` in the body."""
        self.soft_raised = True
        self._interrupt(SoftTimeLimitExceeded)

    def _interrupt(self, error: type[BaseException]) -> None:
        task = self.asyncio_task
        if task is not None:
            task.get_loop().call_soon_threadsafe(task.cancel)
            return
        with self._lock:
            if self._thread_id is not None:
                self._interrupted = True
                _raise_in(self._thread_id, error)

    def cancellation(self, cancelled: BaseException) -> BaseException:
        """Return what a cancellation of the job's Task means inside the body."""
        if self.soft_raised and not self.cancelled:
            self.soft_raised = False
            if self.asyncio_task is not None:
                self.asyncio_task.uncancel()
            return SoftLimitPassed(self.soft)
        return cancelled

    def begin_body(self) -> None:
        """The body begins: from now on it can be interrupted."""
        if self.asyncio_task is None and self.loop is None:
            with self._lock:
                self._thread_id = threading.get_ident()
        if self.cancelled:
            raise Ignore(self.stopped_by)

    def end_body(self) -> None:
        """The body has ended: nothing may be raised in this thread any more."""
        if self._thread_id is None:
            return
        with self._lock:
            ident, self._thread_id = self._thread_id, None
            if ident is not None and self._interrupted:
                # It may still be on its way.
                _raise_in(ident, None)

    @property
    def thread(self) -> int | None:
        """The thread in which its body runs, if it is a plain function's."""
        return self._thread_id

    @property
    def overdue(self) -> float | None:
        """How many seconds the job has run."""
        return None if self.started is None else time.monotonic() - self.started


current_job: Final[ContextVar[Job | None]] = ContextVar("umbel_job", default=None)


def concluded(result: Any) -> Any:
    """Return what a body has returned, unless its process was told to end meanwhile, and the body has caught that.

    Only a prefork child is told so, because its job was cancelled: that is its end, and this is none. Raises
    ``SystemExit``, as before.
    """
    if terminate_handler_fired():
        raise SystemExit(_TERMINATED)
    return result


def interruptible(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` so that the pool can interrupt it while it runs, and only then."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        job = current_job.get()
        try:
            if job is None or job._thread_id is not None or job.loop is not None:
                result = function(*args, **kwargs)
            else:
                job.begin_body()
                try:
                    result = function(*args, **kwargs)
                finally:
                    _close(job)
            if not isinstance(result, Outcome) or not is_running(get_current_task()):
                return result if job is not None else concluded(result)
            outcome = result
        except Outcome as raised:
            outcome = raised
        except Exception:
            concluded(None)
            raise
        except GivenBack as given_back:
            raise Reject(_STOPPED, requeue=True) from given_back
        except Cancelled as cancelled:
            # The request has written the end already.
            raise Ignore(job.stopped_by if job is not None else "cancelled") from cancelled
        except BaseException as error:
            raise contained(error) from error
        raise meaning_of(outcome if job is not None else concluded(outcome))

    with contextlib.suppress(ValueError, TypeError):
        run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return run


def _close(job: Job) -> None:
    # An interrupt that was on its way may land in here: the window is closed all the same, then it goes on.
    late: BaseException | None = None
    while True:
        try:
            job.end_body()
            break
        except (Cancelled, SoftTimeLimitExceeded) as error:
            late = error
    if late is not None:
        raise late


def _raise_in(thread_id: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(error) if error is not None else None
    )
