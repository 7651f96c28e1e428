"""A Redis store as the harness sees it: past the proxy, with a connection of its own that only reads."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

import redis

from tests.chaos.store_view import Held
from umbel.engine.redis_wire import unpack

__all__ = ("RedisView",)

_BANDS: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
#: In one step: a message that is moved, or taken by a process that has just come, must not be missed between two looks.
_WAITING: Final = """
local count = redis.call('ZCARD', 'umbel:delayed')
for _, queue in ipairs(redis.call('SMEMBERS', 'umbel:queues')) do
    for _, band in ipairs(ARGV) do count = count + redis.call('LLEN', queue .. band) end
    count = count + redis.call('LLEN', 'umbel:front:' .. queue) + redis.call('LLEN', 'umbel:suspect:' .. queue)
end
for _, token in ipairs(redis.call('HKEYS', 'umbel:leases')) do
    count = count + redis.call('HLEN', 'umbel:held:' .. token)
end
for _, field in ipairs(redis.call('HKEYS', 'umbel:inboxes')) do
    count = count + redis.call('LLEN', 'umbel:inbox:' .. string.gsub(field, ' ', ':'))
end
return count
"""
#: Of each lease what it says of itself, and what its process holds: what was moved to an inbox is held.
_HELD: Final = """
local found, values = {}, {}
local leases = redis.call('HGETALL', 'umbel:leases')
for at = 1, #leases, 2 do
    values[leases[at]] = redis.call('HVALS', 'umbel:held:' .. leases[at])
    found[#found + 1] = {leases[at + 1], values[leases[at]]}
end
for _, field in ipairs(redis.call('HKEYS', 'umbel:inboxes')) do
    local held = values[string.match(field, '^%S+')]
    for _, element in ipairs(redis.call('LRANGE', 'umbel:inbox:' .. string.gsub(field, ' ', ':'), 0, -1)) do
        if held then held[#held + 1] = element end
    end
end
return found
"""
_READ_MOST: Final = 1000
_LOG: Final = "umbel:events"
_QUEUE: Final = "celery"
_KINDS: Final = ("celery-task-meta", "celery-taskset-meta", "_kombu.binding")


class RedisView:
    """Counts and leases of one database."""

    def __init__(self, port: int) -> None:
        self._client: Any = redis.Redis(port=port, socket_timeout=30.0)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def held_by(self, pid: int) -> list[Held]:
        """Return the messages that process ``pid`` holds now."""
        return [_held(value) for said, values in self._leases() if said[2] == pid for value in values]

    def held(self) -> dict[str, int]:
        """Return how many messages each process holds, by its lease."""
        return {f"{said[1]} pid {said[2]}": len(values) for said, values in self._leases()}

    def _leases(self) -> list[tuple[list[Any], list[bytes]]]:
        return [(json.loads(said), values) for said, values in self._client.eval(_HELD, 0)]

    def waiting(self) -> int:
        """Return how many messages there are, leased and delayed ones included."""
        return int(self._client.eval(_WAITING, 0, *_BANDS))

    def backlog(self) -> int:
        """Return how many messages of the application's own queue nobody has fetched yet."""
        return int(self._client.llen(_QUEUE))

    def dead(self) -> list[tuple[str, str]]:
        """Return (task id, reason) of every dead letter."""
        shown = [json.loads(unpack(head)[4]) for head in self._client.hvals("umbel:dead:heads")]
        return [(task_id, reason) for task_id, _, _, reason, *_ in shown]

    def states(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        found: Counter[str] = Counter()
        keys: list[bytes] = []
        for key in self._client.scan_iter(match="celery-task-meta-*", count=_READ_MOST):
            keys.append(key)
            if len(keys) == _READ_MOST:
                found.update(self._statuses(keys))
                keys = []
        return dict(found + Counter(self._statuses(keys)))

    def _statuses(self, keys: list[bytes]) -> list[str]:
        return [json.loads(document)["status"] for document in (self._client.mget(keys) if keys else ()) if document]

    def info(self) -> dict[str, Any]:
        """Return what the server tells of itself."""
        return dict(self._client.info())

    def log(self) -> tuple[int, int]:
        """Return how many entries wait for the recorder, and the bytes that they take, about."""
        return int(self._client.xlen(_LOG)), int(self._client.memory_usage(_LOG, samples=20) or 0)

    def kinds(self) -> Counter[str]:
        """Return how many keys there are of each kind: of its name without what names a job, a process, a queue."""
        found: Counter[str] = Counter()
        for key in self._client.scan_iter(count=_READ_MOST):
            name = key.decode(errors="replace")
            if name.startswith("umbel:"):
                found[":".join(name.split(":")[:2])] += 1
            else:
                found[next((kind for kind in _KINDS if name.startswith(kind)), name)] += 1
        return found

    def integrity(self) -> str:
        """Return what stands in the store that belongs to no message: ``ok`` for nothing."""
        tokens = {token.decode() for token in self._client.hkeys("umbel:leases")}
        left = [
            key.decode()
            for pattern in ("umbel:held:*", "umbel:inbox:*", "umbel:job:*", "umbel:later", "umbel:chord:*:members")
            for key in self._client.scan_iter(match=pattern, count=_READ_MOST)
            if key.decode().removeprefix("umbel:held:") not in tokens and not self._is_open_chord(key)
        ]
        return f"{len(left)} keys that belong to nothing: {', '.join(sorted(left)[:5])}" if left else "ok"

    def _is_open_chord(self, parts: bytes) -> bool:
        """Whether a chord waits for more: one of which not every member was dispatched always will."""
        return parts.endswith(b":members") and not self._client.hexists(parts.removesuffix(b":members"), "finished")


def _held(value: bytes) -> Held:
    element = value if value.startswith(b"{") else value.split(b"\n", 2)[2]
    body, mark, tail = element.rpartition(b',"umbel":"')
    headers = json.loads(body + b"}" if mark else element)["headers"]
    crashes = int(tail.split(b" ")[3]) if mark else 0
    return Held((headers["id"], headers.get("retries") or 0), crashes)
