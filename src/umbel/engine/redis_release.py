"""Handing everything back in Celery's own form, for whoever goes back to plain workers on the same Redis.

What waits is in Kombu's lists already, with a few bytes at its end at which Kombu does not look. Suspects and condemned
ones go to the heads of those lists, delayed ones to their ends with their time in the header ``eta``, as Celery's
clients send them; parts of unfinished chords become Celery's. Cancelled jobs are dropped: plain workers would not know.

Each batch is one script, and what has gone is no more where it was: interrupted anywhere, it is completed by doing it
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from umbel.engine import envelope
from umbel.engine.moving import Chord
from umbel.engine.redis import RedisEngine
from umbel.engine.redis_wire import BAND, pack, raw, taken

__all__ = ("Released", "release")

_BATCH: Final = 500
_BANDS: Final = ("", f"{BAND}3", f"{BAND}6", f"{BAND}9")
_CHORD_SECONDS: Final = 7 * 86_400
#: A part without a place stands behind all others.
_PLACES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Released:
    """What a batch has handed back."""

    suspects: int = 0
    delayed: int = 0
    chords: int = 0
    #: Cancelled jobs that waited, and were dropped.
    cancelled: int = 0


def release(engine: RedisEngine, recode: Callable[[str, Any], str]) -> Iterator[Released]:
    """Hand everything back, a batch at a time.

    ``recode`` makes a chord's part what Celery's backend keeps of it, from the member's id and what ours keeps. No
    worker of Umbel's may be alive: it would take back what it finds.
    """
    engine.reap()
    for page in engine.moving.chords():
        yield Released(chords=sum(_give_chord(engine, chord, recode) for chord in page.chords))
    for queue in engine.names.all():
        yield from _give_sides(engine, queue)
        yield from _give_lines(engine, queue)
        yield Released(cancelled=_drop_cancelled(engine, queue))
    yield from _give_delayed(engine)


def _give_chord(engine: RedisEngine, chord: Chord, recode: Callable[[str, Any], str]) -> int:
    parts = []
    for task_id, place, result in chord.parts:
        score = str(place) if place < _PLACES else "+inf"
        parts.append([f"{task_id}:{score}", recode(task_id, result), score])
    return int(engine.store.run("hand_back_chord", chord.group_id, _CHORD_SECONDS, pack(parts)))


def _give_sides(engine: RedisEngine, queue: str) -> Iterator[Released]:
    while True:
        back, dropped = engine.store.run("hand_back", queue, _BATCH)
        if not back and not dropped:
            return
        yield Released(suspects=int(back), cancelled=int(dropped))


def _give_lines(engine: RedisEngine, queue: str) -> Iterator[Released]:
    while True:
        back, dropped = engine.store.run("hand_back_lines", queue, _BATCH)
        if not back and not dropped:
            return
        yield Released(cancelled=int(dropped))


def _drop_cancelled(engine: RedisEngine, queue: str) -> int:
    with engine.store.asking() as client:
        cancelled = {task_id.decode() for task_id in client.hkeys(engine.store.key("cancelled"))}
    if not cancelled:
        return 0
    return sum(_drop_from(engine, queue, engine.store.kombu(queue + band), cancelled) for band in _BANDS)


def _drop_from(engine: RedisEngine, queue: str, key: bytes, cancelled: set[str]) -> int:
    dropped, start = 0, 0
    with engine.store.asking() as client:
        while chunk := client.lrange(key, start, start + _BATCH - 1):
            gone = [element for element in chunk if taken(queue, element).task_id in cancelled]
            count = int(engine.store.run("drop_cancelled", key, *gone)) if gone else 0
            dropped += count
            start += len(chunk) - count
    return dropped


def _give_delayed(engine: RedisEngine) -> Iterator[Released]:
    delayed, later = engine.store.key("delayed"), engine.store.key("later")
    with engine.store.asking() as client:
        while found := client.zrange(delayed, 0, _BATCH - 1, withscores=True):
            values = client.hmget(later, [member for member, _ in found])
            lost = [member for (member, _), value in zip(found, values, strict=True) if value is None]
            if lost:
                client.zrem(delayed, *lost)
            moved = [
                [raw(member), raw(value), raw(_timed(value.partition(b"\n")[2], due))]
                for (member, due), value in zip(found, values, strict=True)
                if value is not None
            ]
            yield Released(delayed=int(engine.store.run("hand_back_delayed", pack(moved))))


def _timed(element: bytes, due: float) -> bytes:
    """Return a delayed message's envelope with its time in the headers, where a plain worker looks for it."""
    payload = taken("", element).payload
    try:
        message = envelope.decode(payload)
    except ValueError:
        return payload.encode(errors="surrogateescape")
    known = envelope.moment(message["headers"].get("eta"))
    if known is None or abs(known - due) > 0.001:
        message["headers"]["eta"] = datetime.fromtimestamp(due, UTC).isoformat()
        payload = envelope.encode(message)
    return payload.encode(errors="surrogateescape")
