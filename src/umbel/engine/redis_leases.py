"""Leases in Redis."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from umbel.engine.leases import LEASE_SECONDS, LeaseBook, LeaseInfo, Stale, run_directory
from umbel.engine.redis_store import RedisStore

__all__ = ("LEASE_SECONDS", "LeaseInfo", "Leases", "Stale", "run_directory")


class Leases(LeaseBook):
    """The leases of one database."""

    def __init__(self, store: RedisStore, run: Path) -> None:
        super().__init__(run)
        self._store = store

    def open(self, token: str, hostname: str, queues: list[str], concurrency: int) -> int:
        """Make a lease known; return its number."""
        number = int(self._store.sustain(["INCR", self._store.key("lease-numbers")]))
        said = [number, hostname, os.getpid(), queues, concurrency, time.time(), self.host]
        self._store.sustain(
            ["HSET", self._store.key("leases"), token, json.dumps(said)], ["HSET", self._store.key("epochs"), token, 1]
        )
        self.renew([token])
        return number

    def retire(self, token: str) -> None:
        """Let a lease be no consumer any more."""
        with self._store.asking() as client:
            said = client.hget(self._store.key("leases"), token)
        if said is not None:
            number, hostname, pid, _, *rest = json.loads(said)
            retired = json.dumps([number, hostname, pid, [], *rest])
            self._store.sustain(["HSET", self._store.key("leases"), token, retired])

    def renew(self, tokens: Sequence[str]) -> list[str]:
        """Tell other hosts that these processes live; return those whose leases have ended all the same."""
        return [token.decode() for token in self._store.run("renew", *tokens)] if tokens else []

    def all(self) -> list[LeaseInfo]:
        """Return all leases, dead ones that nobody has reaped included."""
        with self._store.asking() as client:
            found = client.hgetall(self._store.key("leases"))
        infos = []
        for token, said in found.items():
            number, hostname, pid, queues, concurrency, started, host = json.loads(said)
            infos.append(LeaseInfo(token.decode(), number, hostname, pid, tuple(queues), concurrency, started, host))
        return sorted(infos, key=lambda info: info.number)

    def beat(self, token: str) -> float:
        """Return when a lease was renewed last, by the server's clock."""
        with self._store.asking() as client:
            return float(client.zscore(self._store.key("beats"), token) or 0.0)
