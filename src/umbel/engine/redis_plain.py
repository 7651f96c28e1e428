"""Plain jobs' ends on their way to the server: one flat list, and once what many of them have in common.

Nearly every end is of this kind, so it costs the server least: no nested table, no guard written out there, no number
that would have to be made a text.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

from umbel.engine.redis_documents import Common, carries, common, guard
from umbel.engine.redis_wire import own, pack
from umbel.engine.store import Delivery, Settled

__all__ = ("apart", "plain_ends")


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
    return not records or (len(records) == 1 and records[0].final and carries(records[0]))


def plain_ends(entries: Sequence[Settled], known: Mapping[int, Delivery]) -> bytes:
    """Return plain ends as ``settle.lua`` takes them; ``known`` are the messages that this process holds."""
    if not entries:
        return b""
    numbers: dict[Common, int] = {}
    flat: list[Any] = []
    now = time.time()
    for entry in entries:
        mark, queued = own(known.get(entry.seq or 0))
        if not entry.records:
            flat += (str(entry.seq), mark, queued, 0, "", "", "", "")
            continue
        record = entry.records[0]
        number = numbers.setdefault(common(record), len(numbers) + 1)
        left = 0 if record.expires is None else max(1, int((record.expires - now) * 1000))
        # The server hashes each text that it is sent: what it knows already is not sent twice.
        name, since = record.task_id, f"{record.since:.6f}"
        other, later = name != mark and name, since != queued and since
        flat += (str(entry.seq), mark, queued, number, other, record.meta[:-1], str(left), later)
    return pack([[_shared(kind) for kind in numbers], flat])


@functools.lru_cache(maxsize=256)
def _shared(kind: Common) -> tuple[str | int, ...]:
    return *kind, *guard(kind)
