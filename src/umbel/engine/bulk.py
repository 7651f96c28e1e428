"""Many jobs of one task, queued in batches.

Memory is bounded however many there are. On an engine that is a server the next batch is put together while the one
before is on its way and being written, on one thread: what waits is the answer, not a thread for the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from umbel.engine.broker_errors import as_celery_says
from umbel.engine.collecting import publishing_into, sink
from umbel.engine.store import Outgoing

__all__ = ("arguments", "in_batches", "one_by_one")

_BATCH: Final = 500
#: What can be no more than one argument.
_PLAIN: Final = frozenset({int, str, bytes, float, type(None)})


class _UnderWay:
    """A batch whose answer has not been read yet."""

    def __init__(self, app: Any, batch: list[Outgoing], ids: list[str]) -> None:
        self._ids = ids
        self._answer: Callable[[], int] | None = None
        collected = sink()
        if collected is not None:
            collected += batch
        # A broker that is not one of Umbel's engines has sent them one by one already.
        elif batch:
            with as_celery_says():
                if any(message.unique for message in batch):
                    holders = zip(batch, app.engine.uniques.enqueue(batch), strict=True)
                    held = {message.task_id: holder for message, holder in holders}
                    self._ids = [held.get(one, one) for one in ids]
                else:
                    self._answer = app.engine.begin_enqueue(batch)

    def ids(self) -> list[str]:
        """Return the ids once they are queued."""
        if self._answer is not None:
            with as_celery_says():
                self._answer()
        return self._ids


def in_batches(
    task: Any, queue: Callable[[Any, Any, dict[str, Any]], str], items: Iterable[Any], options: dict[str, Any]
) -> Iterator[str]:
    """Queue a job for each item and yield their ids. ``queue`` publishes one and returns its id."""
    tracing = task.app.tracing
    if tracing is None:
        return _in_batches(task, queue, items, options)
    followed: Iterator[str] = tracing.many(task.name, options, lambda told: _in_batches(task, queue, items, told))
    return followed


def _in_batches(
    task: Any, queue: Callable[[Any, Any, dict[str, Any]], str], items: Iterable[Any], options: dict[str, Any]
) -> Iterator[str]:
    before: _UnderWay | None = None
    try:
        for ids, batch in _batches(queue, items, options):
            if before is not None:
                sent, before = before, None
                yield from sent.ids()
            before = _UnderWay(task.app, batch, ids)
            if not (batch and task.app.engine.far):
                sent, before = before, None
                yield from sent.ids()
    except BaseException as error:
        # The source's own: what is on its way is queued, and its ids are told first.
        left = before.ids() if before is not None else []
        if isinstance(error, Exception):
            yield from left
        raise
    if before is not None:
        yield from before.ids()


def one_by_one(task: Any, items: Iterable[Any], options: dict[str, Any]) -> Iterator[str]:
    """Queue a job for each item, each by itself, and yield their ids."""
    for item in items:
        args, kwargs = arguments(item)
        yield str(task.apply_async(args, kwargs, **options).id)


def _batches(
    queue: Callable[[Any, Any, dict[str, Any]], str], items: Iterable[Any], options: dict[str, Any]
) -> Iterator[tuple[list[str], list[Outgoing]]]:
    batch: list[Outgoing] = []
    ids: list[str] = []
    for item in items:
        args, kwargs = arguments(item)
        with publishing_into(batch):
            ids.append(queue(args, kwargs, options))
        if len(ids) >= _BATCH:
            yield ids, batch
            batch, ids = [], []
    if ids:
        yield ids, batch


def arguments(item: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the keyword arguments that an item stands for."""
    if type(item) in _PLAIN:
        return (item,), {}
    if isinstance(item, tuple):
        if len(item) == 2 and isinstance(item[0], (tuple, list)) and isinstance(item[1], Mapping):
            return tuple(item[0]), dict(item[1])
        return item, {}
    if isinstance(item, Mapping):
        return (), dict(item)
    return (item,), {}
