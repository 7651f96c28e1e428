"""What goes over the wire to the scripts, and what comes back."""

from __future__ import annotations

import functools
import re
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from umbel.engine.fairness import share_of
from umbel.engine.store import ChordPart, Delivery, Outgoing, Record, Settled

__all__ = (
    "band_of",
    "deliveries",
    "list_key",
    "message",
    "next_due",
    "own",
    "pack",
    "queue_of",
    "raw",
    "read_element",
    "record_fields",
    "safe_id",
    "settled",
    "taken",
    "unpack",
)

#: Kombu's separator between a queue and its priority band.
BAND: Final = "\x06\x16"
#: What Umbel knows of an envelope, at its end: when it was queued, priority, deliveries, crashes, task id.
_TRAILER: Final = re.compile(rb',"umbel":"([\d.]+) (\d) (\d+) (\d+) ([^" ]*)"\}\Z')
_TRAILER_MOST: Final = 200
#: Ids that an element can carry as they are.
_SAFE_ID: Final = re.compile(r"[!#-\[\]-~]{1,100}")

pack: Final = msgspec.msgpack.Encoder().encode
unpack: Final = msgspec.msgpack.Decoder().decode


class _Headers(msgspec.Struct):
    id: Any = None
    task: Any = None
    umbel_owner: Any = None
    retries: Any = 0
    expires: Any = None


class _Envelope(msgspec.Struct):
    headers: _Headers


def raw(value: bytes) -> msgspec.Raw:
    """Return bytes as a MessagePack string: the server's reader does not know the binary type."""
    size = len(value)
    if size < 1 << 8:
        head = struct.pack(">BB", 0xD9, size)
    elif size < 1 << 16:
        head = struct.pack(">BH", 0xDA, size)
    else:
        head = struct.pack(">BI", 0xDB, size)
    return msgspec.Raw(head + value)


_envelope: Final = msgspec.json.Decoder(_Envelope).decode


def band_of(priority: int) -> str:
    """Return the suffix of the list for a priority: Kombu's four bands begin at 0, 3, 6 and 9."""
    step = 9 if priority >= 9 else priority // 3 * 3
    return f"{BAND}{step}" if step else ""


def list_key(prefix: str, queue: str, priority: int, share: str = "") -> str:
    """Return the key of the list in which a message waits; ``share``: whose line that is."""
    band = band_of(priority)
    return f"{prefix}{queue}{band or f'{BAND}0'}{BAND}{share}" if share else f"{prefix}{queue}{band}"


def queue_of(prefix: str, key: bytes) -> str:
    """Return the queue of a list's key."""
    return key.decode()[len(prefix) :].partition(BAND)[0]


def safe_id(task_id: str | None) -> str:
    """Return an id that an element can carry as it is; no text for any other."""
    return task_id if task_id and _SAFE_ID.fullmatch(task_id) else ""


def message(prefix: str, outgoing: Outgoing) -> list[Any]:
    """Return one message as ``push`` in the scripts takes it."""
    queue, payload, priority = outgoing.queue, outgoing.payload, outgoing.priority
    known = safe_id(outgoing.task_id)
    key = list_key(prefix, queue, priority, share_of(payload))
    info = _info(outgoing) if known else ""
    return [key, payload, priority, known, info, outgoing.due or 0, 2 if outgoing.revived else outgoing.once]


def _info(outgoing: Outgoing) -> msgspec.Raw:
    if outgoing.about is not None:
        return _known(outgoing.queue, outgoing.priority, outgoing.about)
    try:
        headers = _envelope(outgoing.payload).headers
    except msgspec.MsgspecError:
        headers = _Headers()
    about = (headers.task, headers.umbel_owner, headers.retries, headers.expires)
    return raw(pack([outgoing.queue, outgoing.priority, *about]))


@functools.lru_cache(maxsize=256)
def _known(queue: str, priority: int, about: tuple[Any, ...]) -> msgspec.Raw:
    return raw(pack([queue, priority, *about]))


def record_fields(record: Record) -> list[Any]:
    """Return a record as ``store`` in the scripts takes it."""
    left = 0 if record.expires is None else max(1, int((record.expires - time.time()) * 1000))
    return [
        record.task_id,
        record.state,
        int(record.final),
        int(isinstance(record.meta, str)),
        record.meta if isinstance(record.meta, str) else raw(record.meta),
        record.attempt,
        record.task or "",
        record.queue or "",
        record.owner or "",
        str(left),
        f"{record.since:.6f}",
        int(record.first),
    ]


def settled(
    prefix: str, entries: Sequence[Settled], known: Mapping[int, Delivery], ending: Callable[[Any], Any]
) -> bytes:
    """Return entries as ``settle.lua`` takes them; ``known`` are the messages that this process holds.

    ``ending`` says what an entry means for a dead letter.
    """
    return pack(
        [
            [
                # As text: the server would write a number as one, digit by digit.
                str(entry.seq) if entry.seq else 0,
                entry.action,
                "" if entry.letter is None else ending(entry.letter),
                [record_fields(record) for record in entry.records],
                [message(prefix, outgoing) for outgoing in entry.outgoing],
                [_part(part) for part in entry.parts],
                entry.fired or "",
                *own(known.get(entry.seq or 0)),
                _rest(entry),
            ]
            for entry in entries
        ]
    )


def _part(part: ChordPart) -> list[Any]:
    result = part.result if isinstance(part.result, str) else raw(part.result)
    return [part.group_id, part.task_id, part.place, result, part.size or 0]


def _rest(entry: Settled) -> Any:
    """Return whose end it is in a batch, and whose checkpoints go; no text for what has neither."""
    end, forgotten = entry.end, entry.forget
    if end is None and forgotten is None:
        return ""
    counted = ("", "", "") if end is None else (end.batch, end.task_id, end.outcome)
    return [*counted, forgotten or ""]


def own(delivery: Delivery | None) -> tuple[str, str]:
    """Return what a message's trailer says: its id, and when it was queued."""
    if delivery is None or not delivery.enqueued:
        return "", ""
    return delivery.task_id or "", f"{delivery.enqueued:.6f}"


def next_due(answer: bytes) -> tuple[float, float] | None:
    """Return when the next delayed message is due, by this process's clock, and its score, as ``fetch.lua`` says it."""
    if not answer:
        return None
    due_in, score = answer.split()
    return time.monotonic() + float(due_in), float(score)


def deliveries(prefix: str, lists: Sequence[Sequence[Any]], *, suspect: bool) -> list[Delivery]:
    """Return what ``fetch.lua`` has fetched."""
    found = []
    for key, verdict, first, elements, cancelled in lists:
        queue, band = queue_of(prefix, key), _band(key)
        for number, element in enumerate(elements):
            payload, queued, priority, before, task_id = _read(element)
            found.append(
                Delivery(
                    seq=first + number,
                    queue=queue,
                    payload=payload,
                    deliveries=before + 1,
                    suspect=suspect,
                    enqueued=queued,
                    rank=9 - (band if priority is None else priority),
                    task_id=task_id or _id_in(payload),
                    verdict=verdict.decode() or None,
                    cancelled=number in cancelled,
                )
            )
    return found


def _band(key: bytes) -> int:
    band = key.decode().partition(BAND)[2].partition(BAND)[0]
    return int(band) if band.isdigit() else 0


def _read(element: bytes) -> tuple[str, float, int | None, int, str]:
    """Return the envelope, when it was queued, its priority, its deliveries and its id."""
    trailer = _TRAILER.search(element, max(0, len(element) - _TRAILER_MOST))
    if trailer is None:
        return element.decode(errors="surrogateescape"), 0.0, None, 0, ""
    queued, priority, before, _, task_id = trailer.groups()
    payload = f"{element[: trailer.start()].decode(errors='surrogateescape')}}}"
    return payload, float(queued), int(priority), int(before), task_id.decode()


def read_element(element: bytes) -> tuple[str, float, int | None, str]:
    """Return an element's envelope, when it was queued, its priority and its job's id."""
    payload, queued, priority, _, task_id = _read(element)
    return payload, queued, priority, task_id or _id_in(payload) or ""


def taken(queue: str, element: bytes) -> Delivery:
    """Return a message that was taken from its list for good."""
    payload = _read(element)[0]
    return Delivery(0, queue, payload, 1, task_id=_id_in(payload))


def _id_in(payload: str) -> str | None:
    """Return the id that stands in a plain client's envelope."""
    try:
        found = _envelope(payload).headers.id
    except msgspec.MsgspecError:
        return None
    return found if isinstance(found, str) else None
