"""Plain jobs' ends on their way to the server: one flat list, and once what many of them have in common.

Nearly every end is of this kind, so it costs the server least: no nested table, no guard packed there, no number that
would have to be written out as text.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from umbel.engine.redis_wire import own, pack, raw
from umbel.engine.store import Delivery, Record, Settled

__all__ = ("apart", "plain_ends")

#: State, whether the document is text, attempt, task, queue, owner.
_Kind: TypeAlias = tuple[str, int, int, str, str, str]
#: A guard is an array of eight, and that it is of an end is its second element.
_EIGHT: Final = b"\x98"
_ENDED: Final = b"\x01"


def apart(entries: Sequence[Settled]) -> tuple[list[Settled], list[Settled]]:
    """Return the plain ends among ``entries``, and the others; both in their order."""
    plain: list[Settled] = []
    others: list[Settled] = []
    for entry in entries:
        (plain if _is_plain(entry) else others).append(entry)
    return plain, others


def _is_plain(entry: Settled) -> bool:
    if entry.action != "ack" or not entry.seq or entry.letter is not None:
        return False
    if entry.outgoing or entry.parts or entry.fired or entry.end is not None or entry.forget is not None:
        return False
    records = entry.records
    return not records or (len(records) == 1 and records[0].final)


def plain_ends(entries: Sequence[Settled], known: Mapping[int, Delivery]) -> bytes:
    """Return plain ends as ``settle.lua`` takes them; ``known`` are the messages that this process holds."""
    if not entries:
        return b""
    numbers: dict[_Kind, int] = {}
    flat: list[Any] = []
    now = time.time()
    for entry in entries:
        flat += (str(entry.seq), *own(known.get(entry.seq or 0)))
        if not entry.records:
            flat += (0, "", "", "", "")
            continue
        record = entry.records[0]
        number = numbers.setdefault(_kind(record), len(numbers) + 1)
        left = 0 if record.expires is None else max(1, int((record.expires - now) * 1000))
        meta = record.meta if isinstance(record.meta, str) else raw(record.meta)
        flat += (number, record.task_id, meta, str(left), f"{record.since:.6f}")
    return pack([[_common(kind) for kind in numbers], flat])


def _kind(record: Record) -> _Kind:
    text = int(isinstance(record.meta, str))
    return record.state, text, record.attempt, record.task or "", record.queue or "", record.owner or ""


@functools.lru_cache(maxsize=256)
def _common(kind: _Kind) -> tuple[str | int | msgspec.Raw, ...]:
    state, text, *rest = kind
    head = _EIGHT + pack(state) + _ENDED
    tail = b"".join(pack(one) for one in (*rest, text))
    return (*kind, raw(head), raw(tail))
