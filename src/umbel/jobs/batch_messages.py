"""Batches' jobs as messages: members on their way into the store, and callbacks that wait in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from celery.canvas import Signature, _chord, group, maybe_signature
from celery.canvas import _chain as chain

from umbel.engine.batches import BATCH, KINDS
from umbel.engine.bulk import arguments
from umbel.engine.collecting import publishing_into
from umbel.engine.store import Outgoing
from umbel.errors import ConfigurationError, DispatchError
from umbel.jobs.batch_ids import job_here, member_id

__all__ = ("callbacks", "of_items", "of_signatures")

#: What every store can count by.
_ID: Final = re.compile(r"[!#-\[\]-~]{1,100}")
#: Counted from now, where a callback is queued later.
_TIMED: Final = ("countdown", "eta", "expires")


def callbacks(app: Any, batch: str, wanted: dict[str, Any], owner: str | None, place: str) -> dict[str, list[Outgoing]]:
    """Return the messages of each callback that is given. Raises :exc:`ConfigurationError`."""
    return {
        kind: _callback(app, batch, wanted[kind], owner, f"{place}: {kind if kind != 'finally' else 'finally_'}=")
        for kind in KINDS
        if wanted[kind] is not None
    }


def _callback(app: Any, batch: str, given: Any, owner: str | None, place: str) -> list[Outgoing]:
    if not isinstance(given, (Signature, dict)):
        raise ConfigurationError(
            f"{place}{given!r} is no signature: write task.s(), or task.si() to leave out the batch's id."
        )
    signature = maybe_signature(given, app=app).clone()
    timed = [name for name in _TIMED if signature.options.get(name) is not None]
    if timed:
        raise ConfigurationError(
            f"{place} has {timed[0]}=, which would count from now and not from the batch's end: dispatch what is to "
            "wait from the callback."
        )
    messages: list[Outgoing] = []
    headers = {**({"umbel_owner": owner} if owner else {}), **({} if _is_canvas(signature) else {BATCH: batch})}
    options = {"headers": {**(signature.options.get("headers") or {}), **headers}} if headers else {}
    with publishing_into(messages):
        signature.apply_async((batch,), **options)
    return messages


def of_signatures(app: Any, batch: str, signatures: Iterable[Any], owner: str | None) -> Iterator[Outgoing]:
    """Yield the message of each signature, those of groups one by one. Raises :exc:`DispatchError`."""
    for given in signatures:
        if not isinstance(given, (Signature, dict)):
            raise DispatchError(f"{given!r} is no signature: write task.s(...). Nothing of it was queued.")
        signature = maybe_signature(given, app=app)
        if isinstance(signature, group):
            yield from of_signatures(app, batch, signature.tasks, owner)
        elif _is_canvas(signature):
            raise DispatchError(
                f"A {type(signature).__name__.lstrip('_')} is no member of a batch, which counts single jobs: add the "
                "first step, and let it add the next one to jobs.current_batch(). Nothing of it was queued."
            )
        else:
            known = {name: value for name, value in signature.options.items() if value is not None}
            options = {"owner": owner, **known}
            yield _member(app, batch, signature.task, signature.args, signature.kwargs, options)


def of_items(app: Any, batch: str, task: Any, items: Iterable[Any], options: dict[str, Any]) -> Iterator[Outgoing]:
    """Yield the message of a job of ``task`` for each item, as ``enqueue_many`` takes them."""
    for item in items:
        args, kwargs = arguments(item)
        yield _member(app, batch, task.name, args, kwargs, dict(options))


def _member(app: Any, batch: str, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> Outgoing:
    task = app.tasks.get(name)
    if getattr(task, "unique", None) is not None:
        raise DispatchError(
            f"{name} is unique=, so its job may be one that is no member, and the batch would wait for ever: add a "
            "task without it. Nothing of it was queued."
        )
    task_id = options.pop("task_id", None)
    if task_id is None:
        encrypts = app.protection.encrypts
        task_id = member_id(job_here(app), batch, task, name, args, kwargs, encrypts=encrypts)
    elif not isinstance(task_id, str) or not _ID.fullmatch(task_id):
        raise DispatchError(
            f"task_id={task_id!r} is no id of a member: give it 1 to 100 visible ASCII characters without quotes and "
            "backslashes, or leave it out. Nothing of it was queued."
        )
    owner = options.pop("owner", None)
    own = {BATCH: batch, **({"umbel_owner": str(owner)} if owner is not None else {})}
    options["headers"] = {**(options.get("headers") or {}), **own}
    messages: list[Outgoing] = []
    with publishing_into(messages):
        if task is None:
            app.send_task(name, args, kwargs, task_id=task_id, add_to_parent=False, **options)
        else:
            task._check_arguments(args, kwargs)
            task.publish(args, kwargs, task_id, options)
    (message,) = messages
    return message


def _is_canvas(signature: Any) -> bool:
    return isinstance(signature, (group, chain, _chord))
