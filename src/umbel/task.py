"""Umbel's task class: Celery's, typed, for ``def`` and ``async def``."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, ParamSpec, TypeVar

from celery import states
from celery._state import get_current_worker_task
from celery.app.task import Task as CeleryTask
from celery.exceptions import Ignore, Reject, Retry, TaskRevokedError
from kombu.exceptions import OperationalError

from umbel.engine.batches import BATCH
from umbel.engine.bulk import arguments, in_batches, one_by_one
from umbel.engine.collecting import offline_producer
from umbel.engine.current_task import as_child_of
from umbel.engine.execution import current_progress, deferring, is_calling_back
from umbel.engine.failures import carry, failing
from umbel.engine.headers import PROGRESS
from umbel.engine.outcome import CancelledItself, Replaced
from umbel.engine.threads import Threads
from umbel.errors import DispatchTimeout, InvalidArguments
from umbel.ids import new_id
from umbel.jobs.again import note_ordered
from umbel.jobs.fair import in_line
from umbel.jobs.tags import tagged
from umbel.per_execution import PerExecution, runs_here
from umbel.request_stack import ContextStack

if TYPE_CHECKING:
    from umbel.jobs.declared import Declared
    from umbel.jobs.unique import Unique
    from umbel.result import AsyncResult

__all__ = ("Task",)

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


_DISPATCHERS: Final = Threads(4, "umbel-dispatch")


class Task(CeleryTask, Generic[P, R]):
    """A task of an :class:`umbel.Umbel` application.

    Everything of Celery's ``Task`` is there. Attributes that a running job sets on its task live as long as that
    execution; names that begin with an underscore are shared by the process (connections, caches).
    """

    abstract = True
    Request = "umbel.engine.request:Request"
    #: Checks the arguments against the models of the signature; None when it has none.
    validate: ClassVar[Any] = None
    _own_options: ClassVar[dict[str, Any] | None] = None
    #: Whether the body is an ``async def``.
    is_async: ClassVar[bool] = False
    #: What it declares beside Celery's options (:mod:`umbel.jobs.declared`); None for nothing.
    declared: ClassVar[Declared | None] = None
    #: Whether what goes around its body may block, so that only the body itself runs on the event loop.
    blocks: bool = False

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Put the request stack on a context variable, so that gathered children see it."""
        super().on_bound(app)
        soft, hard = cls.soft_time_limit, cls.time_limit
        if soft is not None and hard is not None and soft > hard and soft == app.conf.task_soft_time_limit:
            # The application's soft limit is for tasks without a limit of their own.
            cls.soft_time_limit = None
        if not isinstance(cls.request_stack, ContextStack):
            cls.request_stack = ContextStack()

    # -- dispatch ---------------------------------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult:
        """Queue the job and return its result handle.

        Raises :exc:`InvalidArguments`, :exc:`PayloadTooLarge`, or the broker's error.
        """
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        *rest: Any,
        owner: str | None = None,
        **options: Any,
    ) -> AsyncResult:
        """Queue the job with Celery's options. ``owner``: who may see it through the router.

        ``webhook_url``: who hears how it ends. ``tags``: words by which it is found, beside those of its task. Raises
        :exc:`InvalidArguments`, :exc:`PayloadTooLarge`, or the broker's.
        """
        self._check_arguments(args, kwargs)
        if "tags" in options:
            options = tagged(self, options)
        if "webhook_url" in options:
            options = self.app.endings.webhooks.addressed(self.name, options)
        options = in_line(self, args, kwargs, options)
        if owner is not None:
            options["headers"] = {**(options.get("headers") or {}), "umbel_owner": str(owner)}
        if not rest:
            known = task_id or new_id()
            unique = self.unique
            if unique is not None and unique.applies(self, options):
                holder = unique.queue(self, args, kwargs, known, options)
                return self._handle(holder, options.get("ignore_result"), duplicate=holder != known)
            if self.app.dispatcher.send(self, args, kwargs, known, options):
                return self._handle(known, options.get("ignore_result"))
        result: AsyncResult = super().apply_async(args, kwargs, task_id, *rest, **options)
        return result

    @property
    def unique(self) -> Unique | None:
        """What it declares about dispatches that say the same."""
        return self.declared.unique if self.declared is not None else None

    def publish(self, args: Any, kwargs: Any, task_id: str, options: dict[str, Any]) -> None:
        """Send the job's message and nothing more: for who collects messages before they are queued."""
        if not self.app.dispatcher.send(self, args, kwargs, task_id, options):
            super().apply_async(args, kwargs, task_id, add_to_parent=False, **options)

    def _handle(self, task_id: str, ignore_result: Any, *, duplicate: bool = False) -> AsyncResult:
        result: AsyncResult = self.AsyncResult(task_id)
        result.duplicate = duplicate
        result.ignored = self.ignore_result if ignore_result is None else ignore_result
        parent = self.app.current_worker_task
        if parent is not None:
            parent.add_trail(result)
        return result

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult:
        """Queue the job without blocking the event loop. Raises :exc:`DispatchTimeout` after ``dispatch_timeout``."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        *,
        timeout: float | None = None,
        **options: Any,
    ) -> AsyncResult:
        """Queue the job with Celery's options, without blocking the event loop.

        ``timeout`` in seconds. After :exc:`DispatchTimeout` the job may be queued or not; to be sure, call again
        with the same ``task_id``: an id that the store still knows is not queued again.
        """
        known = task_id or new_id()
        # A dispatch that timed out may still be written after the one that repeats it.
        options["headers"] = {**(options.get("headers") or {}), "umbel_once": True}
        if offline_producer() is not None:
            # Nothing is asked that could block.
            return self.apply_async(args, kwargs, known, **options)
        limit = self.app.settings.dispatch_timeout.total_seconds() if timeout is None else timeout
        # In eager mode this is the job itself, which takes as long as it takes.
        patience = None if self.app.conf.task_always_eager else limit
        context = contextvars.copy_context()
        call = partial(
            as_child_of, get_current_worker_task(), partial(self.apply_async, args, kwargs, known, **options)
        )
        future = _DISPATCHERS.submit(context.run, call)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), patience)
        except TimeoutError:
            raise DispatchTimeout(str(self.name), known, limit) from None

    def enqueue_many(self, items: Iterable[Any], **options: Any) -> Iterator[str]:
        """Queue a job for each item, in batches, and yield their ids.

        An item is a tuple of arguments, a dict of keyword arguments, a pair of both, or a single argument. Memory
        is bounded however many there are. Nothing is queued until the iterator is consumed, but in a block that
        collects (``in_transaction``), where all of them are dispatched at once.
        """
        if "tags" in options:
            options = tagged(self, options)
        if offline_producer() is not None:
            # Consumed after the block it would be no part of it.
            return iter([self._queue(*arguments(item), options) for item in items])
        if self.unique is not None and self.unique.mode != "skip":
            # Each may change what waits, and is asked for by itself.
            return one_by_one(self, items, options)
        return in_batches(self, self._queue, items, options)

    def _queue(self, args: Any, kwargs: Any, options: dict[str, Any]) -> str:
        if self.unique is None and not options.keys() & {"owner", "task_id"}:
            self._check_arguments(args, kwargs)
            task_id = new_id()
            if self.app.dispatcher.send(self, args, kwargs, task_id, in_line(self, args, kwargs, options, bulk=True)):
                return task_id
        return str(self.apply_async(args, kwargs, **options).id)

    def _check_arguments(self, args: Any, kwargs: Any) -> None:
        check = getattr(self, "__header__", None) if self.typing else None
        if check is not None:
            try:
                check(*(args or ()), **(kwargs or {}))
            except TypeError as error:
                raise InvalidArguments(str(self.name), _reason(error)) from None
        if self.validate is not None:
            try:
                type(self).validate(args or (), kwargs or {})
            except ValueError as error:
                raise InvalidArguments(str(self.name), _validation(error)) from None

    def _get_exec_options(self) -> dict[str, Any]:
        """Return the task's own options; the application's limits are for the worker to apply, not for the message."""
        options = type(self)._own_options
        if options is None or self._exec_options is None:
            options = dict(super()._get_exec_options())
            for name in ("time_limit", "soft_time_limit"):
                if options.get(name) == self.app.conf[f"task_{name}"]:
                    options[name] = None
            type(self)._own_options = options
        return options

    # -- inside a job -----------------------------------------------------------------------------------------

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's retry; its message goes out with the end of this attempt, in one step."""
        try:
            with deferring(), failing(kwargs.get("exc", args[2] if len(args) > 2 else None)):
                ordered = super().retry(*args, **kwargs)
        except Retry:
            note_ordered(self.request)
            raise
        except Reject as error:
            # Celery drops a job whose retry could not be sent. It runs again instead.
            raise Reject(error.reason, requeue=isinstance(error.reason, OperationalError)) from error
        note_ordered(self.request)
        return ordered

    def signature_from_request(self, request: Any = None, *args: Any, **options: Any) -> Any:
        """Celery's; what runs a job again carries how far it was, and the attempts that have failed."""
        signature = super().signature_from_request(request, *args, **options)
        told = current_progress(self.request if request is None else request)
        if told is not None:
            signature.options["headers"] = {**(signature.options.get("headers") or {}), PROGRESS: told}
        return carry(signature, self, self.request if request is None else request, options.get("retries"))

    def apply(self, args: Any = None, kwargs: Any = None, *rest: Any, retries: int = 0, **options: Any) -> Any:
        """Run the job here and now, its retries included."""
        try:
            result = super().apply(args, kwargs, *rest, retries=retries, **options)
        except Retry as retry:
            # With task_eager_propagates Celery lets the retry itself escape.
            if retry.sig is None or not retry.is_eager:
                raise
            return retry.sig.apply(retries=retries + 1, throw=options.get("throw"))
        if isinstance(result._result, CancelledItself):
            result._state, result._result = states.REVOKED, TaskRevokedError(*result._result.args)
        return result

    def replace(self, sig: Any) -> Any:
        """Celery's replace; its messages go out with the end of this job, in one step."""
        with deferring():
            return super().replace(sig)

    def resumable(self, rows: Any, **options: Any) -> Any:
        """Return ``rows`` so that this job goes on where it stopped: see :func:`umbel.resumable`."""
        from umbel.jobs.checkpoints import resumable

        return resumable(rows, **options)

    def on_replace(self, sig: Any) -> Any:
        """Celery's; what takes a batch member's place is that member."""
        batch = getattr(self.request, BATCH, None)
        if batch is not None:
            _stay_member(sig, self.request.id, batch)
        try:
            return super().on_replace(sig)
        except Ignore as ignored:
            raise Replaced(*ignored.args) from None

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **kwargs: Any
    ) -> None:
        """Store a passing state of this job. An end is ignored with a warning: the job's real end is recorded."""
        own = task_id is None or task_id == self.request.id
        if state is None:
            # Celery's signature allows it: the job goes on as it was, with something to tell.
            state = states.STARTED
        if own and state in states.READY_STATES and not self.request.called_directly:
            logger.warning(
                "%s[%s] tried to set its own final state %s, which is ignored: return or raise instead.",
                self.name,
                self.request.id,
                state,
            )
            return
        super().update_state(task_id, state, meta, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and runs_here(self):
            PerExecution.install(type(self), name)
        super().__setattr__(name, value)


class AsyncCall:
    """Calling an ``async def`` task directly gives its coroutine where a loop runs, and runs it where none does."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the coroutine in a coroutine; elsewhere, as Celery does, run the task and return its result."""
        if runs_here(self):
            return self.run(*args, **kwargs)  # type: ignore[attr-defined]
        if is_calling_back() or not _loop_runs():
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        function = inspect.unwrap(self.run, stop=lambda f: hasattr(f, "umbel_coroutine")).umbel_coroutine  # type: ignore[attr-defined]
        return function(self, *args, **kwargs) if self.bind_self else function(*args, **kwargs)  # type: ignore[attr-defined]


def _stay_member(sig: Any, task_id: str, batch: str) -> None:
    """Mark whatever in ``sig`` has this id, which in a canvas may be any part."""
    if sig.options.get("task_id") == task_id and not getattr(sig, "tasks", None):
        sig.set(headers={**(sig.options.get("headers") or {}), BATCH: batch})
    parts = [*(getattr(sig, "tasks", None) or ()), *filter(None, [getattr(sig, "body", None)])]
    for part in parts:
        _stay_member(part, task_id, batch)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _reason(error: TypeError) -> str:
    return str(error).removeprefix("<lambda>() ").replace("<lambda>()", "it")


def _validation(error: ValueError) -> str:
    details = getattr(error, "errors", None)
    if details is None:
        return str(error)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in details())
