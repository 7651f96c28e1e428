"""Dead letters on Redis, beside the messages or beside another broker: each step is one script.

What lists show of a letter stands apart from its message and its attempts; a page is looked through a chunk at a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from umbel.engine.envelope import headers_of
from umbel.engine.letters import ANY, DeadLetter, LetterBook, LetterFilter, LetterLimits, Letters, Replay, ReplayEnd
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import message, pack, raw, unpack

__all__ = ("RedisLetterBook", "RedisLetters", "fields_of", "letter_in", "old_letter", "wanted_fields")

#: So often a letter may die again while it is being read.
_TRIES: Final = 20
_CHUNK: Final = 200
_PRUNED: Final = 500


class RedisLetterBook(LetterBook):
    """The dead letters of one database, or of the space that a state store has in it."""

    def __init__(self, store: RedisStore, limits: LetterLimits) -> None:
        self._store = store
        self.limits = limits

    def ending(self, end: DeadLetter | ReplayEnd) -> Any:
        """Return what a job's end means for its letter, as ``settle.lua`` takes it."""
        if isinstance(end, DeadLetter):
            return ["dead", fields_of(end, self.limits.most)]
        return ["close" if end.closed else "reopen", end.key]

    def find(
        self, wanted: LetterFilter = ANY, *, limit: int = 100, after: int | None = None, oldest: bool = False
    ) -> list[DeadLetter]:
        self.adopt()
        found: list[DeadLetter] = []
        chosen = wanted.numbers
        for chunk in self._chunks(after, oldest) if chosen is None else _chosen(chosen, after, oldest):
            found += [one for one in self._heads(chunk) if wanted.fits(one)]
            if len(found) >= limit:
                break
        return self._whole(found[:limit])

    def _chunks(self, after: int | None, oldest: bool) -> Iterator[list[bytes]]:
        """Give the numbers in their order, some at a time."""
        here, end = ("-inf", "+inf") if oldest else ("+inf", "-inf")
        if after is not None:
            here = f"({after}"
        while True:
            with self._store.asking() as client:
                chunk: list[bytes] = client.zrange(
                    self._store.key("dead:order"), here, end, desc=not oldest, byscore=True, offset=0, num=_CHUNK
                )
            if not chunk:
                return
            yield chunk
            here = f"({int(chunk[-1])}"

    def _heads(self, numbers: Sequence[bytes]) -> list[DeadLetter]:
        if not numbers:
            return []
        with self._store.asking() as client:
            heads = client.hmget(self._store.key("dead:heads"), numbers)
        return [letter_in(number, head) for number, head in zip(numbers, heads, strict=True) if head is not None]

    def _whole(self, found: Sequence[DeadLetter]) -> list[DeadLetter]:
        if not found:
            return []
        numbers = [str(one.id) for one in found]
        with self._store.asking() as client:
            payloads = client.hmget(self._store.key("dead:payloads"), numbers)
            failures = client.hmget(self._store.key("dead:failures"), numbers)
        rows = zip(found, payloads, failures, strict=True)
        # What was dropped between the two questions is left out.
        return [_filled(one, payload, failed) for one, payload, failed in rows if payload is not None]

    def read(self, keys: Sequence[str]) -> list[DeadLetter]:
        self.adopt()
        found: list[DeadLetter] = []
        left = list(keys)
        for _ in range(_TRIES):
            if not left:
                break
            with self._store.asking() as client:
                known = client.hmget(self._store.key("dead:keys"), left)
            numbers = {int(number): key for key, number in zip(left, known, strict=True) if number is not None}
            letters = self._whole(self._heads([str(number).encode() for number in numbers])) if numbers else []
            found += letters
            # One that died again between the questions has another number by now.
            left = [key for number, key in numbers.items() if number not in {letter.id for letter in letters}]
        return sorted(found, key=lambda letter: letter.id, reverse=True)

    def get(self, number: int) -> DeadLetter | None:
        self.adopt()
        return next(iter(self._whole(self._heads([str(number).encode()]))), None)

    def count(self) -> int:
        self.adopt()
        with self._store.asking() as client:
            return int(client.zcard(self._store.key("dead:order")))

    def drop(self, numbers: Sequence[int]) -> int:
        return int(self._store.run("drop_letters", pack([str(number) for number in numbers])))

    def prune(self) -> int:
        self.adopt()
        earliest = time.time() - self.limits.seconds
        pruned = 0
        while more := int(self._store.run("prune_letters", self.limits.most, repr(earliest))):
            pruned += more
            if more < _PRUNED:
                break
        return pruned

    def adopt(self) -> None:
        """Take over the letters that an earlier version has written, or still writes beside this one."""
        while True:
            with self._store.asking() as client:
                # The newest first: of several that a job has, that one is known by its id.
                elements = client.lrange(self._store.key("dead"), 0, _CHUNK - 1)
            if not elements:
                return
            rows = []
            for element in elements:
                letter = old_letter(element)
                rows.append([raw(element), str(letter.id), fields_of(letter, 0), repr(letter.died)])
            self._store.run("adopt_letters", pack(rows))


class RedisLetters(RedisLetterBook, Letters):
    """The dead letters of the Redis engine."""

    def __init__(self, store: RedisStore, limits: LetterLimits, note: Callable[[set[str]], None]) -> None:
        """``note`` makes queues known."""
        super().__init__(store, limits)
        self._note = note

    def replay(self, wanted: Sequence[Replay]) -> list[int]:
        self._note({one.message.queue for one in wanted})
        return [int(number) for number in self._store.run("replay", pack(wanted_fields(self._store.prefix, wanted)))]


# -- what goes over the wire ------------------------------------------------------------------------------------


def wanted_fields(prefix: str, wanted: Sequence[Replay]) -> list[Any]:
    """Return replays as the scripts take them."""
    return [
        [str(one.letter.id), one.letter.key, one.letter.replays, one.again, message(prefix, one.message)]
        for one in wanted
    ]


def fields_of(letter: DeadLetter, most: int) -> list[Any]:
    """Return a letter as ``bury`` in the scripts takes it."""
    info = [letter.task_id, letter.task, letter.queue, letter.reason, letter.deliveries]
    info += [letter.owner, letter.release, letter.exception, letter.fingerprint]
    payload = raw(letter.payload.encode(errors="surrogateescape"))
    shown = json.dumps(info)
    return [letter.key, letter.replays, int(letter.replaying), shown, payload, letter.failures, most]


def _chosen(numbers: Sequence[int], after: int | None, oldest: bool) -> list[list[bytes]]:
    """Return numbers in their order as one chunk, as those that the store gives."""
    wanted = sorted(set(numbers), reverse=not oldest)
    return [[b"%d" % one for one in wanted if after is None or (one > after if oldest else one < after)]]


def letter_in(number: bytes, head: bytes, payload: bytes = b"", failures: bytes = b"[]") -> DeadLetter:
    """Return a letter as it stands in the store."""
    key, died, replays, replaying, info = unpack(head)
    task_id, task, queue, reason, deliveries, owner, release, exception, fingerprint = json.loads(info)
    return DeadLetter(
        id=int(number),
        task_id=task_id,
        task=task,
        queue=queue,
        reason=reason,
        deliveries=deliveries,
        died=float(died),
        payload=payload.decode(errors="surrogateescape"),
        key=key,
        owner=owner,
        release=release,
        exception=exception,
        fingerprint=fingerprint,
        failures=failures.decode(errors="replace"),
        replays=int(replays),
        replaying=bool(replaying),
    )


def old_letter(element: bytes) -> DeadLetter:
    """Return a letter as earlier versions wrote it."""
    number, queue, reason, deliveries, died, body = unpack(element)
    headers = headers_of(body)
    task_id, task, owner = (headers.get(name) for name in ("id", "task", "umbel_owner"))
    return DeadLetter(
        id=number,
        task_id=task_id if isinstance(task_id, str) else None,
        task=task if isinstance(task, str) else None,
        queue=queue,
        reason=reason,
        deliveries=deliveries,
        died=float(died),
        payload=body,
        key=task_id if isinstance(task_id, str) and task_id else f"letter-{number}",
        owner=owner if isinstance(owner, str) else None,
    )


def _filled(letter: DeadLetter, payload: bytes, failures: bytes | None) -> DeadLetter:
    text = payload.decode(errors="surrogateescape")
    return replace(letter, payload=text, failures=(failures or b"[]").decode(errors="replace"))
