"""What operators read from Redis."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from umbel.engine.envelope import moment
from umbel.engine.lua import source
from umbel.engine.redis_leases import LeaseInfo, Leases
from umbel.engine.redis_names import RedisNames
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import BAND, queue_of, unpack
from umbel.engine.store import Location, QueueStatus, WorkerStatus

__all__ = ("held_queues", "locate", "most_urgent", "queues", "workers")

_BANDS: Final = (f"{BAND}9", f"{BAND}6", f"{BAND}3", "")
_RANKS: Final = (0, 3, 6, 9)
#: So many messages at most are looked through for one, a chunk at a time.
_LOOK_MOST: Final = 20_000
_CHUNK: Final = 1000
#: Beside another broker nothing is moved.
_NOTHING: Final[Mapping[str, list[bytes]]] = MappingProxyType({})


def queues(store: RedisStore, names: RedisNames, leases: Leases) -> list[QueueStatus]:
    """Return the counts of the lasting queues."""
    known, paused = names.all(), names.paused()
    with store.asking() as client:
        pipe = client.pipeline(transaction=False)
        # First, so that nothing is dropped that was not counted.
        pipe.time()
        for name in known:
            for band in _BANDS:
                pipe.llen(store.kombu(name + band))
            pipe.llen(store.key(f"front:{name}"))
            pipe.llen(store.key(f"suspect:{name}"))
            pipe.hget(store.key("delays"), name)
        pipe.eval(source("line_sizes", store.space), 0, store.prefix, *known)
        (seconds, micros), *counted, sizes = pipe.execute()
    # After what waits, because that is the way of a message.
    found_leases = leases.all()
    moved = _moved(store)
    held = Counter(queue for info in found_leases for queue in held_queues(store, info, moved))
    consumers = Counter(name for info in found_leases if leases.is_alive(info) for name in info.queues)
    counts, lined = iter(counted), dict(zip(known, sizes, strict=True))
    found = []
    for name in known:
        *ready, suspect, delayed = (next(counts) for _ in range(len(_BANDS) + 3))
        sums = (sum(ready) + lined[name], int(delayed or 0), held[name], suspect, consumers[name])
        found.append(QueueStatus(name, *sums, name in paused, seconds * 1_000_000 + micros))
    return found


def most_urgent(store: RedisStore, queues: Collection[str]) -> int | None:
    """Return the lowest rank (9 minus priority) that is ready in ``queues``; None when nothing is."""
    if not queues:
        return None
    with store.asking() as client:
        pipe = client.pipeline(transaction=False)
        for band in _BANDS:
            pipe.exists(*(store.kombu(queue + band) for queue in queues))
        for queue in queues:
            pipe.zrange(store.key(f"ring:{queue}"), 0, 0)
        found = pipe.execute()
    ranks = [rank for rank, count in zip(_RANKS, found, strict=False) if count]
    ranks += [9 - int(line[0][:1]) for line in found[len(_BANDS) :] if line]
    return min(ranks, default=None)


def held_queues(store: RedisStore, info: LeaseInfo, moved: Mapping[str, list[bytes]] = _NOTHING) -> Iterator[str]:
    """Yield the queue of each message that a process holds; ``moved`` are those in inboxes."""
    for value in _held_by(store, info, moved):
        yield queue_of(store.prefix, value.split(b"\n", 2)[1])


def _moved(store: RedisStore) -> Mapping[str, list[bytes]]:
    """Return the messages in processes' inboxes by token, with their heads."""
    moved: dict[str, list[bytes]] = defaultdict(list)
    with store.asking() as client:
        inboxes = client.hgetall(store.key("inboxes"))
        pipe = client.pipeline(transaction=False)
        for name in inboxes:
            pipe.lrange(store.key(f"inbox:{name.decode().replace(' ', ':')}"), 0, -1)
        for (name, source), elements in zip(inboxes.items(), pipe.execute(), strict=True):
            moved[name.decode().partition(" ")[0]] += [b"q\n" + source + b"\n" + element for element in elements]
    return moved


def _held_by(store: RedisStore, info: LeaseInfo, moved: Mapping[str, list[bytes]]) -> Iterator[bytes]:
    """Yield each message that a process holds, with its head."""
    yield from moved.get(info.token, ())
    with store.asking() as client:
        head = client.hget(store.key("heads"), info.token) or b""
        for value in client.hvals(store.key(f"held:{info.token}")):
            yield head + b"\n" + value if value.startswith(b"{") else value


def workers(store: RedisStore, leases: Leases) -> list[WorkerStatus]:
    """Return the processes whose lease is alive."""
    found = []
    moved = _moved(store)
    for info in leases.all():
        if leases.is_alive(info):
            with store.asking() as client:
                held = client.hlen(store.key(f"held:{info.token}")) + len(moved.get(info.token, ()))
            found.append(
                WorkerStatus(info.number, info.hostname, info.pid, info.queues, info.concurrency, info.started, held)
            )
    return found


def locate(store: RedisStore, leases: Leases, task_id: str) -> Location | None:
    """Return where the newest message of ``task_id`` is."""
    with store.asking() as client:
        job = client.get(store.key(f"job:{task_id}"))
        cancelled = client.hexists(store.key("cancelled"), task_id)
    if job is None:
        return None
    where, at, info = job.split(b"\n", 2)
    queue, priority, task, owner, retries, expires = unpack(info)
    kind, rest = where[:1], where[1:]
    due, lease, position = None, None, None
    if kind == b"d":
        with store.asking() as client:
            due = client.zscore(store.key("delayed"), rest)
        element = None
    else:
        lease, kind, element = _held(store, leases, task_id, kind)
        if lease is None:
            side = {b"s": "suspect", b"f": "front"}.get(kind)
            key = rest if side is None else store.key(f"{side}:{queue}")
            element, position = _find(store, key, task_id)
            if position is not None and side is None and rest.count(BAND.encode()) < 2:
                position += _before(store, queue, rest)
    deliveries, crashes = _history(element)
    return Location(
        task_id=task_id,
        queue=queue,
        task=task if isinstance(task, str) else None,
        owner=owner if isinstance(owner, str) else None,
        priority=priority,
        due=due,
        expires=moment(expires),
        lease=lease,
        suspect=kind == b"s",
        deliveries=deliveries + (lease is not None),
        crashes=crashes,
        cancelled=bool(cancelled),
        enqueued=float(at),
        retries=retries if isinstance(retries, int) else 0,
        position=position,
    )


def _held(store: RedisStore, leases: Leases, task_id: str, kind: bytes) -> tuple[int | None, bytes, bytes | None]:
    """Return whose lease holds the job, from which kind of list it was taken, and its element."""
    ending = _ending(task_id)
    moved = _moved(store)
    for info in leases.all():
        for value in _held_by(store, info, moved):
            if value.endswith(ending):
                return info.number, value[:1], value
    return None, kind, None


def _ending(task_id: str) -> bytes:
    return f' {task_id}"}}'.encode()


def _find(store: RedisStore, key: bytes, task_id: str) -> tuple[bytes | None, int | None]:
    ending = _ending(task_id)
    with store.asking() as client:
        for start in range(0, _LOOK_MOST, _CHUNK):
            # Takers pop at the right: the first to go is the last of the list.
            chunk = client.lrange(key, -start - _CHUNK, -start - 1)
            for offset, element in enumerate(reversed(chunk)):
                if element.endswith(ending):
                    return element, start + offset
            if len(chunk) < _CHUNK:
                break
    return None, None


def _before(store: RedisStore, queue: str, key: bytes) -> int:
    """Return how many messages of the queue are in lists that go first."""
    count = 0
    with store.asking() as client:
        for band in _BANDS:
            name = store.kombu(queue + band)
            if name == key:
                break
            count += client.llen(name)
    return count


def _history(element: bytes | None) -> tuple[int, int]:
    if element is None:
        return 0, 0
    _, mark, tail = element[-200:].rpartition(b',"umbel":"')
    if not mark:
        return 0, 0
    _, _, deliveries, crashes, *_ = tail.split(b" ")
    return int(deliveries), int(crashes)
