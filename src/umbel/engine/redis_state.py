"""The state store on Redis: results in Celery's own form, everything else under ``umbel:beside:``.

One script a step. The keys are listed at the top of ``lua/state_keys.lua``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from umbel.engine import redis_status
from umbel.engine.envelope import moment
from umbel.engine.leader import Leader
from umbel.engine.leases import run_directory
from umbel.engine.letters import KEEP, LetterLimits, Replay
from umbel.engine.redis_beside import RedisBesideBatches
from umbel.engine.redis_breakers import RedisBreakers
from umbel.engine.redis_checkpoints import RedisCheckpoints
from umbel.engine.redis_documents import RedisDocuments
from umbel.engine.redis_effects import RedisEffects
from umbel.engine.redis_events import RedisEvents
from umbel.engine.redis_groups import RedisGroups
from umbel.engine.redis_lanes import RedisLanes
from umbel.engine.redis_leader import RedisLeader
from umbel.engine.redis_leases import Leases
from umbel.engine.redis_letters import RedisLetterBook, wanted_fields
from umbel.engine.redis_limits import RedisLimits
from umbel.engine.redis_locks import RedisLocks
from umbel.engine.redis_names import RedisNames
from umbel.engine.redis_slots import RedisSlots
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_uniques import key_fields
from umbel.engine.redis_wire import (
    list_key,
    message,
    pack,
    queue_of,
    record_fields,
    safe_id,
    settled,
    unpack,
)
from umbel.engine.state import Claim, Claimed, Keyed, LeaseEnded, Outcome, Posted, State, Verdict
from umbel.engine.store import (
    Location,
    Outgoing,
    QueueStatus,
    Record,
    Settled,
    Stored,
    WorkerStatus,
)

__all__ = ("RedisState",)

T = TypeVar("T")

_SPACE: Final = "umbel:beside:"
_OVERDUE: Final = "hard time limit exceeded, and its process had to be killed"
_CANCELLED_SECONDS: Final = 86_400.0
_ANSWER: Final = 6


class RedisState(State):
    """State beside another broker, in one Redis database."""

    events: RedisEvents
    groups: RedisGroups
    leases: Leases
    letters: RedisLetterBook

    def __init__(self, url: str, *, prefix: str = "", keep: LetterLimits = KEEP) -> None:
        self.store = RedisStore(url, prefix=prefix, space=_SPACE)
        self.letters = RedisLetterBook(self.store, keep)
        self.prefix: Final = prefix
        self.names = RedisNames(self.store)
        self.groups = RedisGroups(self.store)
        self.documents: Final = RedisDocuments(self.store)
        self.events = RedisEvents(self.store)
        self.locks = RedisLocks(self.store)
        self.breakers = RedisBreakers(self.store)
        self.batches = RedisBesideBatches(self.store, self.names.note, self._in_outbox)
        self.checkpoints = RedisCheckpoints(self.store)
        self.effects = RedisEffects(self.store)
        self.lanes = RedisLanes(self.store)
        self.limits = RedisLimits(self.store)
        self.slots = RedisSlots(self.store)
        self.leases = Leases(self.store, run_directory(url))

    def check(self) -> None:
        with self.store.asking() as client:
            client.ping()

    @property
    def shown(self) -> str:
        return self.store.shown

    # -- dispatch ---------------------------------------------------------------------------------------------

    def note(self, messages: Sequence[Keyed]) -> None:
        self.names.note({one.message.queue for one in messages})
        self.store.run("state_note", pack([self._noted(one) for one in messages]))

    def note_unique(self, messages: Sequence[Keyed]) -> list[str]:
        self.names.note({one.message.queue for one in messages})
        packed = pack([[*self._noted(one), *key_fields(one.message)] for one in messages])
        holders = self.store.run("state_unique", packed)
        return [holder.decode() or str(one.message.task_id) for holder, one in zip(holders, messages, strict=True)]

    def unique_holder(self, name: str) -> str | None:
        found: bytes = self.store.run("state_unique_holder", name)
        return found.decode() or None

    def _noted(self, one: Keyed) -> list[Any]:
        key, body, *rest = message(self.prefix, one.message)
        return [one.key, key, *rest, body if self.events.known else ""]

    def unnote(self, messages: Sequence[Keyed]) -> None:
        with self.store.asking() as client:
            client.delete(*(self.store.key(f"job:{one.message.task_id}") for one in messages))

    def queue_names(self) -> list[str]:
        return self.names.all()

    def note_queues(self, names: Sequence[str]) -> None:
        self.names.note(names)

    # -- claims -----------------------------------------------------------------------------------------------

    def claim(self, token: str, claims: Sequence[Claim]) -> list[Claimed]:
        wanted = [
            [
                one.seq,
                one.key,
                list_key(self.prefix, one.queue, 0),
                one.priority,
                safe_id(one.task_id),
                one.repeated,
                one.alone,
            ]
            for one in claims
        ]
        answer = self.store.run("state_claim", token, pack(wanted))
        if claims and not answer:
            raise LeaseEnded
        return [_claimed(part) for part in _parts(answer, _ANSWER)]

    def settle(self, token: str, entries: Sequence[Settled], *, crash_limit: int) -> Outcome:
        self.names.note({one.queue for entry in entries for one in entry.outgoing})
        refused, complete, posted, called = self.store.run(
            "state_settle",
            token,
            crash_limit,
            settled(self.prefix, entries, {}, self.letters.ending),
            self.events.packed([entry.told for entry in entries]),
        )
        last = {part.group_id: part for entry in entries for part in entry.parts}
        now = time.time()
        return Outcome(
            tuple(entries[number] for number in refused),
            tuple(last[group.decode()] for group in complete),
            (
                *(Posted(number, token, now, entries[entry].outgoing[at]) for entry, at, number in _parts(posted, 3)),
                *self._in_outbox(called),
            ),
        )

    def _in_outbox(self, answer: Sequence[Any]) -> list[Posted]:
        return [_posted(self.prefix, int(number), unpack(fields)) for number, fields in _parts(answer, 2)]

    def outbox(self) -> list[Posted]:
        with self.store.asking() as client:
            found = client.hgetall(self.store.key("outbox"))
        return [_posted(self.prefix, int(number), unpack(fields)) for number, fields in found.items()]

    def posted(self, numbers: Sequence[int]) -> None:
        if numbers:
            with self.store.asking() as client:
                client.hdel(self.store.key("outbox"), *numbers)

    def release(
        self,
        token: str,
        *,
        crash_limit: int,
        crashed: bool,
        started: Sequence[int] = (),
        overdue: Sequence[int] = (),
        beat: float | None = None,
    ) -> int:
        freed = self.store.run(
            "state_release",
            token,
            crash_limit,
            int(crashed),
            pack(list(started)),
            pack(list(overdue)),
            _OVERDUE,
            "" if beat is None else repr(beat),
        )
        self.leases.forget(token)
        return int(freed)

    def suspects(self, queues: Sequence[str] | None = None) -> int:
        with self.store.asking() as client:
            found = client.hvals(self.store.key("suspects"))
        return sum(queues is None or name.decode() in queues for name in found)

    # -- results ----------------------------------------------------------------------------------------------

    def read(self, task_ids: Sequence[str]) -> list[Stored]:
        return self.documents.read(task_ids)

    def forget(self, task_id: str) -> None:
        self.documents.forget(task_id)

    def cancel(self, task_id: str, record: Record | None, *, running: bool = True) -> bool:
        fields = pack(record_fields(record)) if record is not None else b""
        return bool(self.store.run("cancel", task_id, int(running), fields))

    def cancelled_of(self, token: str) -> list[str]:
        with self.store.asking() as client:
            held = client.hvals(self.store.key(f"held:{token}"))
            cancelled = client.hgetall(self.store.key("cancelled"))
        ids = (value.rpartition(b" ")[2].removesuffix(b'"}') for value in held)
        return [one.decode() for one in ids if cancelled.get(one, b"").endswith(b" 1")]

    def cancel_mark(self) -> int:
        with self.store.asking() as client:
            return int(client.get(self.store.key("cancels")) or 0)

    # -- schedules and operations -----------------------------------------------------------------------------

    def leader(self, name: str) -> RedisLeader:
        return RedisLeader(self.store, name)

    def tick(
        self, leader: Leader, messages: Sequence[Keyed], entry: str, last_run: float, runs: int
    ) -> list[Posted] | None:
        assert isinstance(leader, RedisLeader)
        self.names.note({one.message.queue for one in messages})
        packed = pack([[*message(self.prefix, one.message), *key_fields(one.message)] for one in messages])
        leads, *numbers = self.store.run("state_tick", leader.name, leader.term, entry, repr(last_run), runs, packed)
        now = time.time()
        numbered = zip(numbers, messages, strict=False)
        posted = [Posted(number, "-", now, one.message) for number, one in numbered if number]
        return posted if leads else None

    def last_ticks(self) -> dict[str, tuple[float, int]]:
        with self.store.asking() as client:
            found = client.hgetall(self.store.key("ticks"))
        split = {name.decode(): value.split() for name, value in found.items()}
        return {name: (float(last_run), int(runs)) for name, (last_run, runs) in split.items()}

    def mark_paused(self, queue: str, *, paused: bool) -> None:
        self.names.note([queue])
        self.names.mark_paused(queue, paused=paused)

    def paused(self) -> set[str]:
        return self.names.paused()

    def counts(self) -> list[QueueStatus]:
        names, paused, now = self.names.all(), self.names.paused(), time.time()
        held = Counter(queue for info in self.leases.all() for queue in redis_status.held_queues(self.store, info))
        with self.store.asking() as client:
            alone = Counter(name.decode() for name in client.hvals(self.store.key("suspects")))
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.zcount(self.store.key(f"later:{name}"), now, "+inf")
            delayed = pipe.execute()
        return [
            QueueStatus(name, 0, count, held[name], alone[name], 0, name in paused)
            for name, count in zip(names, delayed, strict=True)
        ]

    def drop_delayed(self, queue: str) -> int:
        dropped = 0
        while more := int(self.store.run("state_drop", queue)):
            dropped += more
        return dropped

    def workers(self) -> list[WorkerStatus]:
        return redis_status.workers(self.store, self.leases)

    def locate(self, task_id: str) -> Location | None:
        with self.store.asking() as client:
            job = client.get(self.store.key(f"job:{task_id}"))
            cancelled = client.hexists(self.store.key("cancelled"), task_id)
        if job is None:
            return None
        where, at, info = job.split(b"\n", 2)
        queue, priority, task, owner, retries, expires = unpack(info)
        due = float(where[1:]) if where[:1] == b"b" and len(where) > 1 else None
        lease, deliveries, crashes, suspect = self._holder(where) if where[:1] == b"h" else (None, 0, 0, False)
        return Location(
            task_id=task_id,
            queue=queue,
            task=task if isinstance(task, str) else None,
            owner=owner if isinstance(owner, str) else None,
            priority=priority,
            due=due if due is not None and due > time.time() else None,
            expires=moment(expires),
            lease=lease,
            suspect=suspect,
            deliveries=deliveries,
            crashes=crashes,
            cancelled=bool(cancelled),
            enqueued=float(at),
            retries=retries if isinstance(retries, int) else 0,
            position=None,
        )

    def _holder(self, where: bytes) -> tuple[int | None, int, int, bool]:
        """Return the lease that holds a message, and its deliveries and crashes."""
        token, _, seq = where[1:].decode().partition(" ")
        with self.store.asking() as client:
            value = client.hget(self.store.key(f"held:{token}"), seq) or b""
        number = next((info.number for info in self.leases.all() if info.token == token), None)
        trailer = value.rpartition(b',"umbel":"')[2].split(b" ")
        deliveries, crashes = (int(trailer[2]), int(trailer[3])) if len(trailer) > 3 else (0, 0)
        return number, deliveries + 1, crashes, value[:1] == b"s"

    def replay(self, wanted: Sequence[Replay]) -> list[tuple[int, Posted]]:
        self.names.note({one.message.queue for one in wanted})
        answer = self.store.run("state_replay", pack(wanted_fields(self.prefix, wanted)))
        by_number = {one.letter.id: one.message for one in wanted}
        now = time.time()
        return [
            (int(number), Posted(int(posted), "-", now, by_number[int(number)])) for number, posted in _parts(answer, 2)
        ]

    def sweep(self) -> None:
        self.leases.sweep()
        self.letters.prune()
        self.batches.sweep()
        now = time.time()
        with self.store.asking() as client:
            for name in self.names.all():
                client.zremrangebyscore(self.store.key(f"later:{name}"), "-inf", now - 60)
            for task_id, value in client.hscan_iter(self.store.key("cancelled"), count=1000):
                old = float(value.split()[0]) < now - _CANCELLED_SECONDS
                if old and not client.exists(self.store.key(f"job:{task_id.decode()}")):
                    client.hdel(self.store.key("cancelled"), task_id)

    def close(self) -> None:
        self.names.forget()
        self.store.close()


def _parts(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _claimed(part: Sequence[bytes]) -> Claimed:
    verdict, seq, queued, deliveries, condemned, cancelled = part
    return Claimed(
        Verdict(verdict.decode()),
        int(seq),
        float(queued),
        int(deliveries),
        condemned.decode() or None,
        cancelled == b"1",
    )


def _posted(prefix: str, number: int, fields: Sequence[Any]) -> Posted:
    token, at, key, body, priority, task_id, due = fields
    queue = queue_of(prefix, key.encode())
    return Posted(number, token, float(at), Outgoing(queue, body, task_id or None, priority, due or None))
