"""Celery's result backend on an engine.

In a worker a state is not written when Celery stores it but when its job settles, together with the
acknowledgement; passing states (started, progress) follow within milliseconds. Everywhere else it is
written at once. An end is never overwritten by anything that was queued before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from celery import states
from celery.app.task import Context
from celery.backends.base import BaseBackend
from celery.canvas import maybe_signature
from celery.exceptions import ChordError, TimeoutError
from celery.result import GroupResult, allow_join_result
from celery.utils.collections import AttributeDict

from umbel.engine.broker_errors import as_celery_says
from umbel.engine.collecting import publishing_into
from umbel.engine.execution import (
    calling_back,
    current_execution,
    current_owner,
    current_progress,
    deferring,
    owned_by,
    patiently,
    progress_of,
)
from umbel.engine.headers import CALLBACK
from umbel.engine.job_log import told_of
from umbel.engine.protection import Protection, carries
from umbel.engine.registry import engine_of
from umbel.engine.store import ChordPart, Record, Settled, Stored
from umbel.engine.telling import began_in_child, end_in_child
from umbel.errors import StoreError
from umbel.state.events import Ended

__all__ = ("EngineBackend", "end_in_chord")

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
#: Stands for the callback of a chord in a request that could not be read: it is kept beside the chord.
_KEPT: Final = object()
#: A chord waits so long for its members, however short results are kept: they may be delayed, or wait in a queue.
_CHORD_SECONDS: Final = 7 * 86_400.0


class EngineBackend(BaseBackend):
    """Results beside the messages, in the engine's store."""

    supports_native_join = True
    supports_autoexpire = True
    persistent = True

    def __init__(self, app: Any, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(app, url=url, **kwargs)
        self.engine = engine_of(app, url)
        #: How what is kept here is protected.
        self.protection: Protection = getattr(app, "protection", None) or Protection()

    # -- storing ----------------------------------------------------------------------------------------------

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        """Store a state, now or with the end of the job that runs here."""
        execution = current_execution.get()
        if execution is None:
            record = self._record(task_id, result, state, traceback, request)
            # In a prefork child, which knows what its job has saved.
            forget = task_id if state == states.SUCCESS and getattr(request, "umbel_checkpoints", False) else None
            self.engine.settle([Settled(records=[record], forget=forget, told=self._told(record, request))])
        elif state in states.READY_STATES or state == states.RETRY or task_id != execution.delivery.task_id:
            execution.record(self._record(task_id, result, state, traceback, request))
        elif state == states.STARTED:
            first = bool(kwargs.get("first"))
            execution.note(task_id, lambda: self._record(task_id, result, state, traceback, request, first=first))
        else:
            # Encoded now: what the body does to the object afterwards is not what it reported.
            record = self._record(task_id, result, state, traceback, request)
            execution.note(task_id, lambda: record)
        return result

    def _told(self, record: Record, request: Any) -> Ended | None:
        """Return what the history is to know of a prefork child's job: its parent knows less."""
        if request is None or getattr(request, "id", None) != record.task_id:
            return None
        if record.state == states.STARTED:
            self._began = (record.task_id, time.time())
        if not self.engine.events.known:
            return None
        task_id, began = self._began
        queue = (getattr(request, "delivery_info", None) or {}).get("routing_key") or ""
        if record.state == states.STARTED:
            return began_in_child(record, queue, began)
        return end_in_child(record, queue, began if task_id == record.task_id else 0.0, told_of(request))

    #: Which job has begun in a prefork child, and when: it runs one at a time.
    _began: tuple[str | None, float] = (None, 0.0)

    def _record(
        self, task_id: str, result: Any, state: str, traceback: Any, request: Any, *, first: bool = False
    ) -> Record:
        encoded = self.encode_result(result, state)
        meta = self._get_result_meta(result=encoded, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        own = request is not None and getattr(request, "id", None) == task_id
        told = current_progress(request) if own else None
        if told is not None and (state in states.READY_STATES or state in (states.STARTED, states.RETRY)):
            done, total, message = told
            meta["progress"] = [total if state == states.SUCCESS else done, total, message]
        return Record(
            task_id=task_id,
            state=state,
            final=state in states.READY_STATES,
            meta=self.protection.result(task_id, state, self.encode(meta)),
            attempt=getattr(request, "retries", 0) or 0,
            task=getattr(request, "task", None),
            owner=current_owner(request),
            since=(getattr(request, "properties", None) or {}).get("umbel_since", 0.0),
            # Only an end may leave by itself: a job that runs for longer than results are kept is not unknown.
            expires=time.time() + self.expires if self.expires and state in states.READY_STATES else None,
            first=first,
        )

    def mark_as_done(self, *args: Any, **kwargs: Any) -> None:
        """Store a success; what this publishes goes out with the job's end."""
        with deferring():
            super().mark_as_done(*args, **kwargs)

    def mark_as_failure(self, *args: Any, **kwargs: Any) -> None:
        """Store a failure; errbacks go out with the job's end."""
        with deferring(), calling_back():
            super().mark_as_failure(*args, **kwargs)

    # -- reading ----------------------------------------------------------------------------------------------

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        for stored in self.engine.read([str(task_id)]):
            return self._meta(stored)
        return {"status": states.PENDING, "result": None}

    def _meta(self, stored: Stored) -> dict[str, Any]:
        meta: dict[str, Any] = self.decode_result(self.opened(stored))
        return meta

    def opened(self, stored: Stored) -> bytes | str:
        """Return the document of a state. Raises :exc:`PayloadRefused` when no key of ours opens it."""
        return self.protection.open_result(stored.task_id, stored.meta)

    def progress_of(self, task_id: str) -> list[Any] | None:
        """Return how far a job is that has not ended: done, total, message."""
        for stored in self.engine.read([task_id]):
            if stored.state not in states.READY_STATES:
                meta = self.decode(self.opened(stored))
                result = meta.get("result")
                return progress_of(None, meta.get("progress") or (isinstance(result, dict) and result.get("progress")))
        return None

    def _forget(self, task_id: str) -> None:
        self.engine.forget(str(task_id))

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Any = None,
    ) -> dict[str, Any]:
        """Wait until the job has ended and return its document."""
        self._ensure_not_eager()
        for _, meta in self.get_many([task_id], timeout=timeout, on_interval=on_interval):
            return meta
        raise AssertionError("get_many ends by yielding or raising")

    def get_many(
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        on_message: Any = None,
        on_interval: Any = None,
        **_: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (id, document) of each job as it ends. Raises Celery's ``TimeoutError``."""
        waiting = {str(task_id) for task_id in task_ids}
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while waiting:
            for stored in self.engine.read(sorted(waiting)):
                if stored.state in states.READY_STATES:
                    waiting.discard(stored.task_id)
                    pause = _FIRST_PAUSE
                    meta = self._meta(stored)
                    if on_message is not None:
                        on_message(meta)
                    yield stored.task_id, meta
            if not waiting:
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"{len(waiting)} jobs had not ended after {timeout} s.")
            if on_interval is not None:
                on_interval()
            time.sleep(pause if deadline is None else min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.3, _LONGEST_PAUSE)

    # -- groups and chords ------------------------------------------------------------------------------------

    def _save_group(self, group_id: str, result: Any) -> Any:
        meta = self.encode({"result": result.as_tuple()})
        expires = time.time() + max(self.expires, _CHORD_SECONDS) if self.expires else None
        self.engine.groups.save(str(group_id), meta, expires)
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        meta = self.engine.groups.read(str(group_id))
        if meta is None:
            return None
        found: dict[str, Any] = self.decode(meta)
        from celery.result import result_from_tuple

        found["result"] = result_from_tuple(found["result"], self.app)
        return found

    def _delete_group(self, group_id: str) -> None:
        self.engine.groups.forget(str(group_id))

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Tell how many parts a chord waits for. Part of its dispatch, which fails as any other does."""
        with as_celery_says():
            self.engine.groups.set_size(str(group_id), chord_size, time.time() + _CHORD_SECONDS)

    def add_to_chord(self, chord_id: str, result: Any) -> None:
        """Let a chord wait for a job that one of its running members adds."""
        with as_celery_says():
            self.engine.groups.grow(str(chord_id), time.time() + _CHORD_SECONDS)

    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """Keep the shape of a header whose results are nested; plain ones need nothing."""
        header = self.app.GroupResult(*header_result_args)
        # For a member that cannot be read and ends last: nobody else would know what follows.
        secret = carries(self.protection.sensitive, body)
        kept = self.protection.part(str(header.id), self.encode(dict(body)), secret=secret)
        with as_celery_says():
            self.engine.groups.save(f"{header.id}{CALLBACK}", kept, time.time() + _CHORD_SECONDS)
            if any(isinstance(member, GroupResult) for member in header.results):
                self._save_group(header.id, header)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """Count a finished member. The callback goes out when the last one settles."""
        if not request.group or not request.id:
            return
        part = ChordPart(
            group_id=request.group,
            task_id=request.id,
            place=request.group_index if request.group_index is not None else 1 << 30,
            result=self.protection.part(request.id, self.encode([state, self.encode_result(result, state)])),
            size=None,
            token=request,
        )
        execution = current_execution.get()
        if execution is not None and not execution.closed:
            execution.entry.parts.append(part)
            return
        for complete in self.engine.settle([Settled(parts=[part])]).complete:
            self.engine.settle([self.complete_chord(complete)])

    def complete_chord(self, part: ChordPart) -> Settled:
        """Return what a complete chord leaves behind: its callback, or its failure."""
        entry = Settled(fired=part.group_id)
        request: Context = part.token
        chord = self.kept_callback(part.group_id) if request.chord is _KEPT else request.chord
        callback = maybe_signature(chord, app=self.app)
        execution = _Collected(entry)
        token = current_execution.set(execution)  # type: ignore[arg-type]
        try:
            owner = getattr(request, "umbel_owner", None)
            with publishing_into(entry.outgoing), patiently(), owned_by(owner):
                self._call_back(request, callback)
        finally:
            current_execution.reset(token)
        return entry

    def complete_late(self, group_id: str) -> Settled:
        """Return the same for a chord that was complete already: by the callback that was kept when it began."""
        members = [task_id for task_id, _ in self.engine.groups.parts(group_id)]
        owners = [stored.owner for stored in self.engine.read(members[:1])]
        request = AttributeDict(group=group_id, chord=_KEPT, umbel_owner=owners[0] if owners else None)
        return self.complete_chord(ChordPart(group_id, "", 0, b"", None, token=request))

    def is_chord(self, group_id: str) -> bool:
        """Whether the group of this id is a chord that has begun here."""
        return self.engine.groups.read(f"{group_id}{CALLBACK}") is not None

    def kept_callback(self, group_id: str) -> Any:
        """Return the callback of a chord, as it was kept when that began; None for a group that is no chord."""
        kept = self.engine.groups.read(f"{group_id}{CALLBACK}")
        return None if kept is None else self.decode(self.protection.open_part(group_id, kept))

    def _call_back(self, request: Context, callback: Any) -> None:
        try:
            results = self._chord_results(request.group)
            owner = current_owner(request)
            headers = {**(callback.options.get("headers") or {}), **({"umbel_owner": owner} if owner else {})}
            options = {"headers": headers} if headers else {}
            callback.apply_async((results,), **options, **_lineage(request))
        except ChordError as error:
            self.chord_error_from_stack(callback, error)
        except StoreError:
            # Not the chord's fault: who settles it tries again.
            raise
        except Exception as error:
            failure = ChordError(f"Callback error: {error!r}")
            failure.__cause__ = error
            self.chord_error_from_stack(callback, failure)

    def _chord_results(self, group_id: str) -> list[Any]:
        found = self.engine.groups.parts(group_id)
        parts = [(task_id, self.decode(self.protection.open_part(task_id, result))) for task_id, result in found]
        for task_id, (state, result) in parts:
            if state in states.EXCEPTION_STATES:
                error = self.exception_to_python(result)
                failure = ChordError(f"Dependency {task_id} raised {error!r}")
                if isinstance(error, Exception):
                    failure.__cause__ = error
                raise failure
        header = self._restore_group(group_id)
        if header is None:
            return [result for _, (_, result) in parts]
        # A nested header wants its shape back, which the flat parts do not have.
        with allow_join_result():
            joined: list[Any] = header["result"].join_native(timeout=self.app.conf.result_chord_join_timeout)
            return joined


def end_in_chord(backend: Any, headers: dict[str, Any], error: Exception) -> None:
    """Let the chord of a member that cannot run hear of its failure: it would wait for ever."""
    group = headers.get("group")
    if headers.get("id") and group and isinstance(backend, EngineBackend) and backend.is_chord(group):
        known = {name: headers.get(name) for name in ("id", "group", "group_index", "umbel_owner")}
        backend.on_chord_part_return(AttributeDict(known, chord=_KEPT), states.FAILURE, error)


class _Collected:
    """Takes what a chord's completion stores, in place of an execution."""

    closed = False
    progress = None
    #: What is printed or logged meanwhile is no job's.
    task = None
    lines = None

    def __init__(self, entry: Settled) -> None:
        self.entry = entry
        self.delivery = _NO_DELIVERY

    def record(self, record: Record) -> None:
        self.entry.records.append(record)


class _NoDelivery:
    task_id = None


_NO_DELIVERY: Final = _NoDelivery()


def _lineage(request: Context) -> dict[str, Any]:
    """Return whose child a chord's callback is: the last member's, as with Celery, where that is still known."""
    last = getattr(request, "id", None)
    return {"parent_id": last, "root_id": getattr(request, "root_id", None) or last} if last else {}
