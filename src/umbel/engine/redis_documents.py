"""Jobs' states in Redis: Celery's documents, each with its guard.

The guard says what the document does not: whether it is an end, when it was written, of which attempt, and whose job
that is. It stands at the document's end under a name of its own, so that one write stores both; plain clients, who look
for other names, read on as ever. A document that is no JSON object has its guard in a key beside it. ``keys.lua``
writes and reads the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

import msgspec
from celery.states import READY_STATES

from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import unpack
from umbel.engine.store import Record, Stored

__all__ = ("Common", "RedisDocuments", "carries", "common", "guard")

#: What the ends of one kind share: state, attempt, task, queue, owner.
Common: TypeAlias = tuple[str, int, str, str, str]
_MARK: Final = b',"umbel":'
#: So many bytes of a document's end are looked at.
_LONGEST: Final = 2000
#: So many characters at most have a guard's names, of which each may become six bytes.
_NAMES_MOST: Final = 300
_READ_MOST: Final = 500


class _Guard(msgspec.Struct, array_like=True, gc=False):
    """What follows says something to the scripts alone."""

    state: str
    final: int
    at: str
    attempt: int
    task: str
    queue: str
    owner: str


class _Document(msgspec.Struct):
    status: str
    date_done: datetime | None = None


_document: Final = msgspec.json.Decoder(_Document).decode
_guard: Final = msgspec.json.Decoder(_Guard).decode
_text: Final = msgspec.json.Encoder().encode


class RedisDocuments:
    """The documents of one database."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def read(self, ids: Sequence[str]) -> list[Stored]:
        """Return the states of those ids that have one."""
        found: list[Stored] = []
        with self._store.asking() as client:
            for start in range(0, len(ids), _READ_MOST):
                part = ids[start : start + _READ_MOST]
                values = client.mget([key for one in part for key in self._keys(one)])
                found += filter(None, map(_stored, part, values[::2], values[1::2]))
        return found

    def forget(self, task_id: str) -> None:
        """Drop a job's state."""
        with self._store.asking() as client:
            client.delete(*self._keys(task_id))

    def _keys(self, task_id: str) -> tuple[bytes, bytes]:
        return self._store.kombu(f"celery-task-meta-{task_id}"), self._store.key(f"about:{task_id}")


def carries(record: Record) -> bool:
    """Whether the record's document can have its guard at its end."""
    meta = record.meta
    if not isinstance(meta, str) or not meta.startswith('{"') or not meta.endswith("}"):
        return False
    return len(record.task or "") + len(record.queue or "") + len(record.owner or "") < _NAMES_MOST


def common(record: Record) -> Common:
    """Return what a record shares with others of its kind."""
    return record.state, record.attempt, record.task or "", record.queue or "", record.owner or ""


def guard(kind: Common) -> tuple[str, str]:
    """Return how a document with a guard of this kind ends: what stands before the time of its writing, and after."""
    state, *rest = kind
    return f'{_MARK.decode()}[{_text(state).decode()},1,"', f'",{_text(rest).decode()[1:]}}}'


def _stored(task_id: str, document: bytes | None, beside: bytes | None) -> Stored | None:
    if document is None:
        return None
    found = _guarded(document)
    if found is not None:
        meta, known = found
        return _of_guard(task_id, meta.decode(), known)
    if beside is None:
        return _plain(task_id, document)
    *told, is_text = unpack(beside)
    return _of_guard(task_id, document.decode() if is_text else document, _Guard(*told[:7]))


def _guarded(document: bytes) -> tuple[bytes, _Guard] | None:
    """Return a document without the guard at its end, and that."""
    if not document.endswith(b"]}"):
        return None
    at = document.rfind(_MARK, -_LONGEST)
    if at < 0:
        return None
    try:
        return document[:at] + b"}", _guard(document[at + len(_MARK) : -1])
    except msgspec.MsgspecError:
        return None


def _of_guard(task_id: str, meta: bytes | str, known: _Guard) -> Stored:
    whose = known.task or None, known.queue or None, known.owner or None
    return Stored(task_id, known.state, bool(known.final), meta, known.attempt, *whose, float(known.at))


def _plain(task_id: str, document: bytes) -> Stored | None:
    """Return the state that a plain worker has stored."""
    try:
        found = _document(document)
    except msgspec.MsgspecError:
        return None
    done = found.date_done
    updated = (done if done.tzinfo else done.replace(tzinfo=UTC)).timestamp() if done is not None else 0.0
    return Stored(task_id, found.status, found.status in READY_STATES, document.decode(), 0, None, None, None, updated)
