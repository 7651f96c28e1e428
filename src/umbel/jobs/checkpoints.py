"""``resumable``: a loop that goes on where it stopped when its job runs again, after a kill, a retry or a restart.

    for row in resumable(rows):
        handle(row)

How far the loop is, is saved with the store: every ``every`` rows, and ``seconds`` after the last time. A job that is
killed repeats at most the rows since then, with ``every=1`` at most one. When the worker stops, the loop ends with its
row: how far it is is saved and the job goes back, which uses no attempt. A failed job keeps its checkpoints for its
next try, or for the replay of its dead letter; they go with its success or cancellation.

Of two executions of a job the later one has its checkpoints: the other one's saves are refused, and its loop ends.
Costs: one round trip when a job's first loop begins, and one a save.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from celery._state import get_current_task
from kombu.utils.json import dumps, loads

from umbel.durations import duration
from umbel.engine.execution import current_execution
from umbel.engine.headers import REPLAY
from umbel.engine.job import GivenBack, current_job
from umbel.engine.outcome import is_running
from umbel.engine.stopping import is_stopping
from umbel.errors import CheckpointTaken
from umbel.jobs.again import times_put_off
from umbel.state.checkpoints import Checkpoints

__all__ = ("Resumable", "resumable")

T = TypeVar("T")

_NAMES_MOST: Final = 1000
_NAME_MOST: Final = 200
_CURSOR_MOST: Final = 65_536
_PLACE: Final = "_umbel_checkpoints"
#: What a number of a kind has room for in a fence.
_ROOM: Final = 1_000_000


def resumable(
    rows: Iterable[T] | AsyncIterable[T] | Callable[[Any], Any],
    *,
    name: str = "rows",
    cursor: Callable[[T], Any] | None = None,
    every: int = 100,
    seconds: object = "5s",
) -> Resumable[T]:
    """Return ``rows`` for a ``for`` or ``async for`` that goes on where it stopped when the running job runs again.

        for user in resumable(lambda after: users_after(after), cursor=lambda user: user.id):
            greet(user)

    Rows that have been are counted, and passed over the next time; so they are to come in the same order again. With
    ``cursor``, a function of a row, ``rows`` is called with the cursor of the last row that was done, or None, and
    returns those after it. ``name`` tells a job's loops apart. How far it is is saved every ``every`` rows and, when a
    row ends, if that was more than ``seconds`` (a duration) ago: these rows may come again. Outside of a job, and in
    eager mode, it is a plain loop. Raises :exc:`ValueError`, and in the loop :exc:`CheckpointTaken` and
    :exc:`StoreError`.
    """
    if callable(rows) != (cursor is not None):
        raise ValueError(
            "resumable(): cursor= goes with a function that returns the rows after a cursor, and only with that."
        )
    if every < 1 or not 0 < len(name) <= _NAME_MOST:
        raise ValueError(
            f"resumable(): every={every!r} is to be 1 or more, and name={name!r} of 1 to {_NAME_MOST} characters."
        )
    return Resumable(rows, name, cursor, every, duration(seconds).total_seconds())


class Resumable(Generic[T]):
    """Rows for one loop of a job; see :func:`resumable`."""

    def __init__(self, rows: Any, name: str, cursor: Callable[[T], Any] | None, every: int, seconds: float) -> None:
        self._rows = rows
        self._name = name
        self._cursor = cursor
        self._every = every
        self._seconds = seconds

    def __iter__(self) -> Iterator[T]:
        mark = self._mark()
        start = mark.begin() if mark is not None else None
        rows = iter(self._rows(start) if self._cursor is not None else self._rows)
        if self._cursor is None:
            next(itertools.islice(rows, start or 0, start or 0), None)
        for row in rows:
            yield row
            if mark is not None and mark.done(row):
                mark.save()
                mark.stop_if_told()
        if mark is not None:
            mark.save()

    async def __aiter__(self) -> AsyncIterator[T]:
        mark = self._mark()
        start = await asyncio.to_thread(mark.begin) if mark is not None else None
        left = 0 if self._cursor is not None else start or 0
        async for row in _asynchronous(self._rows(start) if self._cursor is not None else self._rows):
            if left > 0:
                left -= 1
                continue
            yield row
            if mark is not None and mark.done(row):
                await asyncio.to_thread(mark.save)
                mark.stop_if_told()
        if mark is not None:
            await asyncio.to_thread(mark.save)

    def _mark(self) -> _Mark | None:
        task = get_current_task()
        request = task.request if task is not None else None
        if request is None or not request.id or request.called_directly or request.is_eager:
            return None
        return _Mark(_Execution.of(task, request), self._name, self._cursor, self._every, self._seconds)


async def _asynchronous(rows: Any) -> AsyncIterator[Any]:
    if isinstance(rows, Awaitable):
        rows = await rows
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row


class _Execution:
    """One execution's checkpoints, for all of its loops."""

    def __init__(self, task: Any, request: Any) -> None:
        self.task_id: Final[str] = request.id
        self.store: Final[Checkpoints] = task.app.engine.checkpoints
        self.fence: Final = _fence(request)
        self.names: set[str] = set()
        self.job: Final = current_job.get()
        self._request = request
        self._running = current_execution.get()

    @classmethod
    def of(cls, task: Any, request: Any) -> _Execution:
        owner, found = request.__dict__.get(_PLACE, (None, None))
        if owner != id(request):
            # A nested request begins as a copy of the outer one.
            found = cls(task, request)
            request.__dict__[_PLACE] = (id(request), found)
        made: _Execution = found
        return made

    @cached_property
    def cursors(self) -> dict[str, str]:
        """What earlier executions have saved."""
        found = self.store.take(self.task_id, self.fence)
        if found is None:
            raise CheckpointTaken(self.task_id)
        # They go with the job's end.
        if self._running is not None:
            self._running.checkpoints = True
        else:
            self._request.umbel_checkpoints = True
        return found

    def begin(self, name: str) -> str | None:
        """Return what was saved under ``name``, which is that of one loop of this execution."""
        if name in self.names:
            raise ValueError(f"resumable(): this job has a loop with name={name!r} already: give each its own.")
        if len(self.names) >= _NAMES_MOST:
            raise ValueError(f"resumable(): a job has {_NAMES_MOST} loops at the most: let it dispatch jobs instead.")
        self.names.add(name)
        return self.cursors.get(name)


class _Mark:
    """How far one loop is."""

    def __init__(
        self, execution: _Execution, name: str, cursor: Callable[[Any], Any] | None, every: int, seconds: float
    ) -> None:
        self._execution = execution
        self._name = name
        self._cursor = cursor
        self._every = every
        self._seconds = seconds
        self._at: Any = None
        self._since = 0
        self._saved = time.monotonic()

    def begin(self) -> Any:
        """Return from where to go on."""
        text = self._execution.begin(self._name)
        self._at = None if text is None else loads(text)
        self._saved = time.monotonic()
        return self._at

    def done(self, row: Any) -> bool:
        """Note that a row is done; return whether that is to be saved now."""
        self._at = (self._at or 0) + 1 if self._cursor is None else self._cursor(row)
        self._since += 1
        return self._since >= self._every or is_stopping() or time.monotonic() - self._saved >= self._seconds

    def save(self) -> None:
        """Save how far the loop is. Raises :exc:`CheckpointTaken`."""
        if not self._since:
            return
        text = dumps(self._at)
        if len(text) > _CURSOR_MOST:
            raise ValueError(f"resumable(): a cursor of {len(text):,} bytes is none: let cursor= return a row's key.")
        execution = self._execution
        if not execution.store.save(execution.task_id, execution.fence, self._name, text):
            raise CheckpointTaken(execution.task_id)
        self._since, self._saved = 0, time.monotonic()

    def stop_if_told(self) -> None:
        """Give the job back if its worker ends, and leave its body."""
        if not is_stopping():
            return
        job = self._execution.job
        ending = job.give_back() if job is not None else GivenBack if _may_go_back() else None
        if ending is not None:
            raise ending


def _may_go_back() -> bool:
    """Whether the job runs in a prefork child, with a message that another worker can have."""
    task = get_current_task()
    return is_running(task) and not task.request.is_eager and bool(task.acks_late)


def _fence(request: Any) -> int:
    """Return this execution's number among all of its job: of replays, then of tries, then of deliveries."""
    headers = request.headers or {}
    replay = str(headers.get(REPLAY) or "").partition(" ")[0]
    replays = int(replay) if replay.isdigit() else 0
    tries = (request.retries or 0) + times_put_off(request)
    execution = current_execution.get()
    if execution is not None and execution.delivery.task_id == request.id:
        deliveries = execution.delivery.deliveries
    else:
        # In a prefork child.
        deliveries = (request.properties or {}).get("umbel_deliveries", 0)
    number = 0
    for count, room in ((replays, 1000), (tries, _ROOM), (deliveries, _ROOM)):
        number = number * room + min(count, room - 1)
    return number
