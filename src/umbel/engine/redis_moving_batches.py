"""What of batches, checkpoints and effects moves from or to a Redis database.

The results of effects have no list of their own: they are found by a walk over the server's keys.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from umbel.engine.batches import KINDS, MemberEnd
from umbel.engine.moving import (
    ARRIVING,
    Belongings,
    Bundle,
    Crate,
    Cursors,
    Effect,
    HeldBatch,
    Moving,
    Running,
)
from umbel.engine.redis_batches import tally_in
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import message, pack, queue_of, raw
from umbel.engine.store import Outgoing
from umbel.state.effects import Uncertain

__all__ = ("RedisMovingBatches", "doubts", "kept", "pages")

_PAGE: Final = 500
_MARK: Final = b"="

#: A callback as it is kept: its list, envelope, priority, id, what dispatch knew of it, when it is due, ``once``.
_callbacks: Final = msgspec.msgpack.Decoder(list[tuple[str, str, int, str, msgspec.Raw, float, bool]]).decode

T = TypeVar("T")


class RedisMovingBatches(Moving):
    """The part of a move's side that is about what is counted, kept and promised, not about messages."""

    _store: RedisStore

    def _walk(self, head: str, *, but: bytes | None = None) -> Iterator[str]:
        """Give what follows ``head`` in the names of keys, but for those that end so; some may come twice."""
        start = self._store.kombu(head)
        pattern = re.sub(rb"([\\*?\[\]])", rb"\\\1", start) + b"*"
        with self._store.asking() as client:
            for name in client.scan_iter(match=pattern, count=1000):
                if but is None or not name.endswith(but):
                    yield name[len(start) :].decode(errors="surrogateescape")

    def members(self, batches: Mapping[str, Sequence[str] | None]) -> Iterator[Belongings]:
        for batch_id, named in batches.items():
            key = self._store.key(f"batch:{batch_id}:members")
            with self._store.asking() as client:
                if named is not None:
                    states: Iterable[Any] = zip(named, client.hmget(key, list(named)), strict=True)
                else:
                    states = ((one.decode(), state) for one, state in client.hscan_iter(key, count=1000))
                for page in pages(states):
                    found = ((one, state) for one, state in page if state is not None)
                    yield Belongings(members=tuple(MemberEnd(batch_id, one, state.decode()) for one, state in found))

    def checkpoints(self, task_ids: Sequence[str]) -> Iterator[Belongings]:
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            for one in task_ids:
                pipe.hgetall(self._store.key(f"checkpoint:{one}"))
                pipe.pttl(self._store.key(f"checkpoint:{one}"))
            answers = pipe.execute() if task_ids else []
        now = time.time()
        found = [
            Cursors(
                task_id,
                int(fields[b"fence"]),
                now + left / 1000,
                tuple((name[1:].decode(), text.decode()) for name, text in fields.items() if name.startswith(_MARK)),
            )
            for task_id, fields, left in zip(task_ids, answers[::2], answers[1::2], strict=True)
            if b"fence" in fields
        ]
        if found:
            yield Belongings(checkpoints=tuple(found))

    def effects(self) -> Iterator[Belongings]:
        for names in pages(self._walk("umbel:effect:")):
            with self._store.asking() as client:
                pipe = client.pipeline(transaction=False)
                for name in names:
                    pipe.hmget(self._store.key("effect:" + name), "state", "owner", "result")
                    pipe.pttl(self._store.key("effect:" + name))
                answers = pipe.execute()
            now = time.time()
            found = zip(names, answers[::2], answers[1::2], strict=True)
            yield Belongings(
                effects=tuple(
                    Effect(name, owner.decode(), result.decode(), now + left / 1000)
                    for name, (state, owner, result), left in found
                    if state == b"done"
                )
            )

    def running(self) -> list[Running]:
        with self._store.asking() as client:
            now = _clock(client)
            found = client.zrangebyscore(self._store.key("effects"), f"({now}", "+inf", 0, 100, withscores=True)
            pipe = client.pipeline(transaction=False)
            for name, _ in found:
                pipe.hmget(self._store.key("effect:" + name.decode()), "state", "owner")
            about = pipe.execute() if found else []
        return [
            Running(name.decode(), owner.decode(), (ends - now) / 1000)
            for (name, ends), (state, owner) in zip(found, about, strict=True)
            if state in (b"begun", b"asked")
        ]

    def held(self) -> list[HeldBatch]:
        with self._store.asking() as client:
            ids = client.zrange(self._store.key("batches:held"), 0, -1)
            pipe = client.pipeline(transaction=False)
            for one in ids:
                pipe.hmget(self._store.key(f"batch:{one.decode()}"), "held", "closed", "cancelled", "updated")
            answers = pipe.execute() if ids else []
        found = []
        for batch_id, (held, closed, cancelled, updated) in zip(ids, answers, strict=True):
            if held is not None:
                target, _, label = held.decode().partition(" ")
                marks = (closed == b"1", cancelled == b"1", updated.decode())
                found.append(HeldBatch(batch_id.decode(), target, label, *marks))
        return found

    def part(self, batches: Sequence[HeldBatch]) -> None:
        self._store.run("batch_part", pack([[one.id, one.mark] for one in batches]))

    # -- what goes into the scripts, and comes from them ------------------------------------------------------

    def _bundle(self, batch_id: bytes, *pairs: bytes) -> Bundle:
        fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
        kept = {kind: _callbacks(fields[kind.encode()]) for kind in KINDS if kind.encode() in fields}
        return Bundle(
            tally_in(batch_id.decode(), fields),
            {kind: tuple(map(self._outgoing, messages)) for kind, messages in kept.items()},
        )

    def _outgoing(self, kept: tuple[str, str, int, str, msgspec.Raw, float, bool]) -> Outgoing:
        key, payload, priority, known, _, due, once = kept
        return Outgoing(
            queue_of(self._store.prefix, key.encode()), payload, known or None, priority, due or None, bool(once)
        )

    def _batch_fields(self, bundle: Bundle, here: str) -> list[Any]:
        one = bundle.tally
        fields = {
            **{name: getattr(one, name) or "" for name in ("name", "owner", "opener")},
            **{name: getattr(one, name) for name in ("allowed", "total", "done", "failed", "gone")},
            **{name: int(getattr(one, name)) for name in ("share", "closed", "cancelled")},
            "fired": " ".join(one.fired),
            "created": f"{one.created:.6f}",
            "updated": f"{one.updated:.6f}",
            "held": f"{here} {ARRIVING}",
        }
        if one.finished is not None:
            fields["finished"] = f"{one.finished:.6f}"
        words = [str(word) for pair in fields.items() for word in pair]
        for kind, messages in bundle.callbacks.items():
            words += [kind, raw(pack([message(self._store.prefix, each) for each in messages]))]  # type: ignore[list-item]
        return [one.id, f"{one.created:.6f}", words]

    def _crate_words(self, crate: Crate, here: str) -> tuple[bytes, bytes]:
        """Return its batches and effects as ``admit.lua`` takes them."""
        effects = [[one.name, one.owner, str(int(one.since * 1000))] for one in crate.effects]
        return pack([self._batch_fields(one, here) for one in crate.batches]), pack(effects)


def kept(belongings: Belongings, now: float) -> list[Any]:
    """Return what ``keep.lua`` takes of members, batches, checkpoints and effects."""
    members = [[one.batch, one.task_id, one.outcome] for one in belongings.members]
    batches = [[one.id, int(one.closed), int(one.cancelled)] for one in belongings.batches]
    checkpoints = [
        [one.task_id, str(one.fence), [word for pair in one.cursors for word in ("=" + pair[0], pair[1])], left]
        for one in belongings.checkpoints
        if (left := int((one.expires - now) * 1000)) > 0
    ]
    effects = [
        [one.name, one.owner, one.result, left]
        for one in belongings.effects
        if (left := int((one.expires - now) * 1000)) > 0
    ]
    return [members, batches, checkpoints, effects]


def doubts(words: Sequence[bytes]) -> tuple[Uncertain, ...]:
    """Return the effects that ``pack.lua`` has packed."""
    return tuple(
        Uncertain(words[at].decode(), words[at + 1].decode(), int(words[at + 2]) / 1000)
        for at in range(0, len(words), 3)
    )


def pages(items: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """Give items some at a time."""
    source = iter(items)
    while page := tuple(islice(source, _PAGE)):
        yield page


def _clock(client: Any) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
