"""A move's side on Redis: each step is one script.

Chords and results have no list of their own: they are found by a walk over the server's keys, once a move.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from umbel.engine import envelope, redis_leases
from umbel.engine.envelope import headers_of
from umbel.engine.moving import Belongings, Cancelled, Chord, Crate, Group, Kept, Parcel, Tick
from umbel.engine.redis_documents import RedisDocuments
from umbel.engine.redis_groups import parts_of
from umbel.engine.redis_leases import Leases
from umbel.engine.redis_letters import RedisLetters, fields_of, letter_in, old_letter
from umbel.engine.redis_moving_batches import RedisMovingBatches, doubts, kept, pages
from umbel.engine.redis_names import RedisNames
from umbel.engine.redis_store import RedisStore, identity
from umbel.engine.redis_wire import message, pack, queue_of, raw
from umbel.engine.store import Outgoing

__all__ = ("RedisMoving",)

_FIELDS: Final = 10
_LETTER: Final = 4
#: On top of a lease's length, for those who look at it now and then.
_LOOK_SECONDS: Final = 5.0


class RedisMoving(RedisMovingBatches):
    """One database's side of a move."""

    def __init__(self, store: RedisStore, names: RedisNames, leases: Leases, letters: RedisLetters) -> None:
        self._store = store
        self._names = names
        self._leases = leases
        self._letters = letters

    def identity(self) -> str:
        return identity(self._store)

    def doubt(self) -> float:
        infos = self._leases.all()
        if any(self._leases.is_near(info) and self._leases.is_alive(info) for info in infos):
            return 0.0
        return redis_leases.LEASE_SECONDS + _LOOK_SECONDS if infos else 0.0

    # -- at the source ----------------------------------------------------------------------------------------

    def pack(self, limit: int, target: str, label: str) -> Crate | None:
        self._letters.adopt()
        return self._pack(limit, target, label, *self._names.all())

    def packed(self) -> Crate | None:
        return self._pack(0, "", "")

    def _pack(self, limit: int, target: str, label: str, *queues: str) -> Crate | None:
        found = self._store.run("pack", limit, secrets.token_hex(16), target, label, *queues)
        if found is None:
            return None
        token, aim, name, old, letters, batches, effects, *fields = found
        parcels = (self._parcel(fields[at : at + _FIELDS]) for at in range(0, len(fields), _FIELDS))
        quads = (letter_in(*letters[at : at + _LETTER]) for at in range(0, len(letters), _LETTER))
        packed = (*map(old_letter, old), *quads)
        others = (tuple(self._bundle(*one) for one in batches), doubts(effects))
        return Crate(token.decode(), aim.decode(), name.decode(), tuple(parcels), packed, *others)

    def _parcel(self, fields: Sequence[bytes]) -> Parcel:
        kind, more, key, body, queued, priority, deliveries, crashes, mark, cancelled = fields
        payload = _text(body)
        task_id = mark.decode() or headers_of(payload).get("id")
        known = task_id if isinstance(task_id, str) else None
        return Parcel(
            queue=queue_of(self._store.prefix, key),
            payload=payload,
            task_id=known,
            priority=int(priority),
            enqueued=float(queued),
            due=float(more) if kind == b"d" else None,
            deliveries=int(deliveries),
            crashes=int(crashes),
            suspect=kind == b"s",
            verdict=more.decode() if kind == b"f" else None,
            cancelled=_cancelled(known, cancelled) if known and cancelled else None,
        )

    def discard(self, token: str) -> None:
        self._store.run("discard", token)

    def recall(self) -> int:
        back = int(self._store.run("recall"))
        self.keep(Belongings(batches=tuple(self.held())))
        return back

    def chords(self, group_ids: Sequence[str] | None = None) -> Iterator[Belongings]:
        for ids in pages(self._walk("umbel:chord:", but=b":members") if group_ids is None else group_ids):
            yield Belongings(chords=tuple(filter(None, map(self._chord, ids))))

    def _chord(self, group_id: str) -> Chord | None:
        name = self._store.key(f"chord:{group_id}")
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            pipe.hgetall(name)
            pipe.pttl(name)
            pipe.hgetall(name + b":members")
            head, left, parts = pipe.execute()
        if not head:
            return None
        size, expires = head.get(b"size"), time.time() + max(left, 0) / 1000
        return Chord(
            group_id=group_id,
            size=int(size) if size else None,
            extra=int(head.get(b"total", 0)),
            fired=b"finished" in head,
            expires=expires,
            parts=tuple(parts_of(parts)),
        )

    def belongings(self) -> Iterator[Belongings]:
        for ids in pages(self._walk("celery-task-meta-")):
            yield Belongings(states=self._states(ids))
        for ids in pages(self._walk("celery-taskset-meta-")):
            yield Belongings(groups=self._groups(ids))
        with self._store.asking() as client:
            for part in pages(client.hscan_iter(self._store.key("cancelled"), count=1000)):
                yield Belongings(cancelled=tuple(_cancelled(_text(task_id), value) for task_id, value in part))
            ticks = client.hgetall(self._store.key("ticks"))
        runs = ((name.decode(), *value.split()) for name, value in ticks.items())
        yield Belongings(ticks=tuple(Tick(name, float(last), int(times)) for name, last, times in runs))

    def _states(self, ids: Sequence[str]) -> tuple[Kept, ...]:
        found = RedisDocuments(self._store).read(ids)
        left = self._left([self._store.kombu(f"celery-task-meta-{one.task_id}") for one in found])
        return tuple(map(Kept, found, left))

    def _groups(self, ids: Sequence[str]) -> tuple[Group, ...]:
        names = [self._store.kombu(f"celery-taskset-meta-{one}") for one in ids]
        with self._store.asking() as client:
            values = client.mget(names)
        rows = zip(ids, values, self._left(names), strict=True)
        return tuple(Group(group_id, meta, expires) for group_id, meta, expires in rows if meta is not None)

    def _left(self, names: Sequence[bytes]) -> list[float | None]:
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.pttl(name)
            left = pipe.execute()
        now = time.time()
        return [None if one == -1 else now + max(one, 0) / 1000 for one in left]

    # -- at the target ----------------------------------------------------------------------------------------

    def admit(self, crate: Crate) -> bool:
        letters = [[fields_of(one, self._letters.limits.most), repr(one.died)] for one in crate.letters]
        messages = [self._message(one) for one in crate.parcels]
        others = self._crate_words(crate, self.identity())
        return bool(self._store.run("admit", crate.token, pack(messages), pack(letters), *others))

    def _message(self, one: Parcel) -> list[Any]:
        payload = _tagged(one.payload)
        # What is no text says nothing of itself.
        readable = payload.encode(errors="replace").decode()
        outgoing = Outgoing(one.queue, readable, one.task_id, one.priority)
        key, _, priority, known, info, *_ = message(self._store.prefix, outgoing)
        if one.due is not None:
            kind, more = "d", repr(one.due)
        elif one.verdict is not None:
            kind, more = "f", one.verdict
        else:
            kind, more = ("s" if one.suspect else "q"), ""
        cancelled = _mark(one.cancelled) if one.cancelled and known else ""
        history = [f"{one.enqueued:.6f}", priority, one.deliveries, one.crashes]
        return [kind, more, key, _raw(payload), *history, known, info, cancelled]

    def keep(self, belongings: Belongings) -> None:
        now = time.time()
        states = [_state(one, now) for one in belongings.states]
        groups = [[one.group_id, _raw(one.meta), _milliseconds(one.expires, now)] for one in belongings.groups]
        chords = [
            [
                one.group_id,
                one.size or 0,
                one.extra,
                int(one.fired),
                _milliseconds(one.expires, now),
                [[task_id, _raw(f"{place}\n".encode() + _bytes(result))] for task_id, place, result in one.parts],
            ]
            for one in belongings.chords
        ]
        cancelled = [[one.task_id, _mark(one)] for one in belongings.cancelled]
        ticks = [[one.entry, repr(one.last_run), one.runs] for one in belongings.ticks]
        words = [states, groups, chords, cancelled, ticks, *kept(belongings, now)]
        if any(words):
            self._store.run("keep", pack(words))


def _tagged(payload: str) -> str:
    """Return an envelope with a tag of its own: plain workers keep what they hold by it, and other stores need none."""
    try:
        message = envelope.decode(payload)
    except ValueError:
        return payload
    if isinstance(message["properties"].get("delivery_tag"), str):
        return payload
    message["properties"]["delivery_tag"] = secrets.token_hex(16)
    return envelope.encode(message)


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def _bytes(value: bytes | str) -> bytes:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


def _raw(value: bytes | str) -> Any:
    return raw(_bytes(value))


def _cancelled(task_id: str, value: bytes) -> Cancelled:
    at, running = value.split()
    return Cancelled(task_id, float(at), running == b"1")


def _mark(one: Cancelled) -> str:
    return f"{one.at:.6f} {int(one.running)}"


def _state(one: Kept, now: float) -> list[Any]:
    s = one.stored
    known = [s.task_id, s.state, int(s.final), int(isinstance(s.meta, str)), _raw(s.meta), s.attempt]
    left = _milliseconds(one.expires, now)
    return [*known, s.task or "", s.queue or "", s.owner or "", left, f"{s.updated:.6f}"]


def _milliseconds(expires: float | None, now: float) -> int:
    return 0 if expires is None else max(1, int((expires - now) * 1000))
