"""What operators, schedulers and housekeeping ask of Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from umbel.engine import redis_status
from umbel.engine.leader import Leader
from umbel.engine.redis_batches import RedisBatches
from umbel.engine.redis_breakers import RedisBreakers
from umbel.engine.redis_checkpoints import RedisCheckpoints
from umbel.engine.redis_effects import RedisEffects
from umbel.engine.redis_leader import RedisLeader
from umbel.engine.redis_leases import Leases
from umbel.engine.redis_limits import RedisLimits
from umbel.engine.redis_locks import RedisLocks
from umbel.engine.redis_names import RedisNames
from umbel.engine.redis_slots import RedisSlots
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_uniques import RedisUniques, key_fields
from umbel.engine.redis_wire import message, pack
from umbel.engine.store import Engine, Location, Outgoing, QueueStatus, WorkerStatus
from umbel.errors import StoreError

__all__ = ("RedisOperations",)

_CANCELLED_SECONDS: Final = 86_400.0


class RedisOperations(Engine):
    """The part of the Redis engine that no job waits for."""

    store: RedisStore
    names: RedisNames
    leases: Leases

    @cached_property
    def uniques(self) -> RedisUniques:  # type: ignore[override]
        """The keys that one job has at a time."""
        return RedisUniques(self.store, self.names.note)

    @cached_property
    def locks(self) -> RedisLocks:  # type: ignore[override]
        """Locks by name."""
        return RedisLocks(self.store)

    @cached_property
    def breakers(self) -> RedisBreakers:  # type: ignore[override]
        """Circuit breakers by name."""
        return RedisBreakers(self.store)

    @cached_property
    def batches(self) -> RedisBatches:  # type: ignore[override]
        """Jobs that are counted together."""
        return RedisBatches(self.store, self.names.note)

    @cached_property
    def checkpoints(self) -> RedisCheckpoints:  # type: ignore[override]
        """How far jobs' iterators are."""
        return RedisCheckpoints(self.store)

    @cached_property
    def effects(self) -> RedisEffects:  # type: ignore[override]
        """Effects by key."""
        return RedisEffects(self.store)

    @cached_property
    def limits(self) -> RedisLimits:  # type: ignore[override]
        """When jobs may start."""
        return RedisLimits(self.store)

    @cached_property
    def slots(self) -> RedisSlots:  # type: ignore[override]
        """Slots that several share."""
        return RedisSlots(self.store)

    def leader(self, name: str) -> RedisLeader:
        return RedisLeader(self.store, name)

    def tick(self, leader: Leader, messages: Sequence[Outgoing], entry: str, last_run: float, runs: int) -> bool:
        """Store the messages of a tick together with the fact that it has run, unless another one leads by now."""
        assert isinstance(leader, RedisLeader)
        self.names.note({one.queue for one in messages})
        packed = pack([[*message(self.store.prefix, one), *key_fields(one)] for one in messages])
        return bool(self.store.run("tick", leader.name, leader.term, entry, repr(last_run), runs, packed))

    def last_ticks(self) -> dict[str, tuple[float, int]]:
        """Return (last run, number of runs) of each schedule entry that has run."""
        with self.store.asking() as client:
            found = client.hgetall(self.store.key("ticks"))
        split = {name.decode(): value.split() for name, value in found.items()}
        return {name: (float(last_run), int(runs)) for name, (last_run, runs) in split.items()}

    def server_settings(self) -> dict[str, str]:
        """Return those settings of the server on which jobs depend; nothing where it may not be asked."""
        try:
            with self.store.asking() as client:
                found = client.config_get("maxmemory*", "appendonly", "appendfsync")
        except StoreError:
            return {}
        return {_text(name): _text(value) for name, value in found.items()}

    def queues(self) -> list[QueueStatus]:
        return redis_status.queues(self.store, self.names, self.leases)

    def workers(self) -> list[WorkerStatus]:
        return redis_status.workers(self.store, self.leases)

    def locate(self, task_id: str) -> Location | None:
        return redis_status.locate(self.store, self.leases, task_id)

    def purge(self, queue: str, *, upto: int | None = None) -> int:
        dropped, bound = 0, "" if upto is None else str(upto)
        while more := int(self.store.run("purge", queue, bound)):
            dropped += more
        with self.store.asking() as client:
            members = [member for member, _ in client.zscan_iter(self.store.key("delayed"), count=1000)]
        for start in range(0, len(members), 1000):
            dropped += int(self.store.run("purge_delayed", queue, bound, *members[start : start + 1000]))
        return dropped

    def sweep(self) -> None:
        self.names.sweep()
        self.leases.sweep()
        self.letters.prune()
        self.batches.sweep()
        limit = time.time() - _CANCELLED_SECONDS
        with self.store.asking() as client:
            for task_id, value in client.hscan_iter(self.store.key("cancelled"), count=1000):
                if float(value.split()[0]) < limit and not client.exists(self.store.key(f"job:{task_id.decode()}")):
                    client.hdel(self.store.key("cancelled"), task_id)

    def shrink(self) -> None:
        """Nothing: the server looks after its own memory."""


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
