"""Batches: any number of jobs, counted together, and what follows when they have ended.

    async with jobs.batch("import", allow_failures="1%", then=report.s(), finally_=clean_up.si()) as batch:
        await batch.add_many(load, rows)

Members start at once, while others are still added. A member is counted once, by its id, in the step that writes its
end, and the callback that this makes due is queued in the same step: a kill leaves both or neither. The block tells
when everything has been added; until then nothing is over. A block that is left by an error, or whose process dies,
cancels the batch, unless it runs inside of a job: that job, when it runs again, opens the same batch and adds the same
members, which are not queued twice.

Costs: one step to open and one to close, one for 500 members, and with each member's end two writes more.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from celery._state import get_current_worker_task

from umbel.engine.batches import BATCH, Plan
from umbel.engine.broker_errors import as_celery_says
from umbel.engine.collecting import offline_producer
from umbel.engine.current_task import as_child_of
from umbel.engine.store import Outgoing
from umbel.errors import BatchEnded, BatchNotFound, ConfigurationError, DispatchError, StoreError
from umbel.jobs.batch_ids import batch_id, job_here
from umbel.jobs.batch_messages import callbacks, of_items, of_signatures
from umbel.jobs.batch_status import BatchStatus, allowance, status_of
from umbel.jobs.cancel import cancelled
from umbel.jobs.locks import Lock

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task

__all__ = ("AsyncBatch", "Batch", "BatchBlock", "cancel_batch", "cancel_members", "current_batch")

logger = logging.getLogger(__name__)

R = TypeVar("R")

_CHUNK: Final = 500
_NAME_MOST: Final = 200
#: A process that has a block open says so for this long, again and again.
_OPEN_SECONDS: Final = 30.0


class Batch:
    """A batch by its id. Each method asks the store and blocks; :class:`AsyncBatch` is the same for coroutines."""

    def __init__(self, app: Umbel, batch: str, owner: str | None = None) -> None:
        """``owner``: whose the members are that are added here."""
        self._app: Final = app
        self._owner: Final = owner
        self.id: Final = batch

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def add(self, *signatures: Any) -> list[str]:
        """Queue jobs as members and return their ids. Groups are added one by one.

            batch.add(load.s(1), load.s(2), group(load.s(n) for n in range(10)))

        In a job that runs again, what it has added before is a member already and is not queued again. Raises
        :exc:`BatchEnded`, :exc:`BatchNotFound`, :exc:`DispatchError` for what can be no member, and the broker's error.
        """
        return [str(one.task_id) for one, _ in self._send(of_signatures(self._app, self.id, signatures, self._owner))]

    def add_many(self, task: Task[..., Any], items: Iterable[Any], **options: Any) -> int:
        """Queue a job of ``task`` for each item, as ``enqueue_many`` does; return how many were new members.

        Memory is bounded however many there are. Raises what :meth:`add` raises.
        """
        return sum(
            new for _, new in self._send(of_items(self._app, self.id, task, items, {"owner": self._owner, **options}))
        )

    def _send(self, messages: Iterator[Outgoing]) -> Iterator[tuple[Outgoing, int]]:
        _refuse_transaction()
        while chunk := list(itertools.islice(messages, _CHUNK)):
            with as_celery_says():
                new = self._app.engine.batches.add(self.id, chunk)
            yield from zip(chunk, itertools.chain([new], itertools.repeat(0)), strict=False)

    def status(self) -> BatchStatus:
        """Return how far the batch is. Raises :exc:`BatchNotFound`."""
        tally = self._app.engine.batches.read(self.id)
        if tally is None:
            raise BatchNotFound(self.id)
        return status_of(tally)

    def cancel(self) -> BatchStatus:
        """Cancel the batch: waiting members never start, running ones are stopped, nothing can be added.

        Of its callbacks only ``finally_`` follows. The member that calls this goes on. Raises :exc:`BatchNotFound`, and
        :exc:`BatchEnded` when it is over.
        """
        return cancel_batch(self._app, self.id)


class AsyncBatch:
    """A batch by its id, for coroutines: the event loop never waits for the store. See :class:`Batch`."""

    def __init__(self, app: Umbel, batch: str, owner: str | None = None) -> None:
        self._batch: Final = Batch(app, batch, owner)
        self.id: Final = batch

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    async def add(self, *signatures: Any) -> list[str]:
        """Queue jobs as members and return their ids. See :meth:`Batch.add`."""
        return await _aside(self._batch.add, *signatures)

    async def add_many(self, task: Task[..., Any], items: Iterable[Any], **options: Any) -> int:
        """Queue a job of ``task`` for each item; return how many were new. ``items`` is consumed in a thread."""
        return await _aside(self._batch.add_many, task, items, **options)

    async def status(self) -> BatchStatus:
        """Return how far the batch is. Raises :exc:`BatchNotFound`."""
        return await _aside(self._batch.status)

    async def cancel(self) -> BatchStatus:
        """Cancel the batch. See :meth:`Batch.cancel`."""
        return await _aside(self._batch.cancel)


class BatchBlock:
    """The block of :meth:`umbel.Umbel.batch`, for ``with`` and ``async with``."""

    def __init__(
        self,
        app: Umbel,
        name: str,
        *,
        allow_failures: Any,
        then: Any,
        catch: Any,
        finally_: Any,
        owner: str | None,
    ) -> None:
        place = f"batch({name!r})"
        if not name or len(name) > _NAME_MOST:
            raise ConfigurationError(
                f"{place}: give it a name of 1 to {_NAME_MOST} characters, for whoever looks at it."
            )
        self._app = app
        self._name = name
        self._allowed = allowance(allow_failures, place)
        self._wanted = {"then": then, "catch": catch, "finally": finally_}
        self._owner = owner
        self._place = place
        self._lock: Any = None
        self._id = ""
        self._in_job = False

    def __enter__(self) -> Batch:
        return Batch(self._app, self._open(), self._owner)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(error)

    async def __aenter__(self) -> AsyncBatch:
        return AsyncBatch(self._app, await _aside(self._open), self._owner)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _aside(self._close, error)

    def _open(self) -> str:
        _refuse_transaction()
        if self._app.conf.task_always_eager:
            raise ConfigurationError(
                f"{self._place}: in eager mode nothing is queued that could be counted: use a worker."
            )
        request = job_here(self._app)
        self._in_job = request is not None
        self._id = batch_id(request, self._name)
        allowed, share = self._allowed
        plan = Plan(
            id=self._id,
            name=self._name,
            allowed=allowed,
            share=share,
            owner=self._owner,
            opener=request.id if request is not None else None,
            callbacks=callbacks(self._app, self._id, self._wanted, self._owner, self._place),
        )
        # Before there is a batch: from then on somebody looks whether its block is still open.
        self._lock = Lock(self._app.keeper, f"batch:{self._id}", _OPEN_SECONDS, owner=self._id)
        self._lock.try_acquire()
        try:
            self._app.engine.batches.open(plan)
        except BaseException:
            self._lock.release()
            raise
        return self._id

    def _close(self, error: BaseException | None) -> None:
        try:
            if error is None:
                self._app.engine.batches.close(self._id)
            elif not self._in_job:
                self._give_up()
        finally:
            self._lock.release()

    def _give_up(self) -> None:
        try:
            cancel_batch(self._app, self._id)
        except BatchEnded:
            return
        except StoreError as error:
            logger.warning("Batch %s could not be cancelled and will be within minutes: %s", self._id, error)


async def _aside(call: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Call in a thread, in the name of the job that runs here."""
    return await asyncio.to_thread(as_child_of, get_current_worker_task(), partial(call, *args, **kwargs))


def current_batch(app: Umbel) -> str | None:
    """Return the id of the batch that the job which runs here belongs to, or whose callback it is."""
    request = job_here(app)
    found = getattr(request, BATCH, None) if request is not None else None
    return None if found is None else str(found)


def cancel_batch(app: Umbel, batch: str) -> BatchStatus:
    """Cancel a batch and its members. Raises :exc:`BatchNotFound`, :exc:`BatchEnded`."""
    batches = app.engine.batches
    changed = batches.cancel(batch)
    tally = batches.read(batch)
    if tally is None:
        raise BatchNotFound(batch)
    if not changed and (not tally.cancelled or tally.finished is not None):
        raise BatchEnded(batch)
    cancel_members(app, batch, tally.owner)
    return status_of(batches.read(batch) or tally)


def cancel_members(app: Umbel, batch: str, owner: str | None) -> None:
    """Let no member start that has not, and stop those that run, but the one that calls this."""
    request = job_here(app)
    own = request.id if request is not None else None
    batches = app.engine.batches
    for page in batches.pending(batch):
        batches.stop([cancelled(app.backend, task_id, owner) for task_id, _ in page if task_id != own])


def _refuse_transaction() -> None:
    if offline_producer() is not None:
        raise DispatchError(
            "A batch cannot be opened or added to inside in_transaction(), which keeps its jobs until the commit: do "
            "it after the block, or in a job that the block dispatches."
        )
