"""Leases in PostgreSQL."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from umbel.engine.leases import LeaseBook, LeaseInfo
from umbel.engine.postgres_store import PostgresStore

__all__ = ("PostgresLeases",)


class PostgresLeases(LeaseBook):
    """The leases of one database."""

    def __init__(self, store: PostgresStore, run: Path) -> None:
        super().__init__(run)
        self._store = store

    def open(self, token: str, hostname: str, queues: list[str], concurrency: int) -> int:
        """Make a lease known; return its number."""
        said = (token, hostname, os.getpid(), queues, concurrency, time.time(), self.host)
        return int(self._store.run(lambda step: step.rows("lease_open", *said))[0][0])

    def retire(self, token: str) -> None:
        """Let a lease be no consumer any more."""
        self._store.run(lambda step: step.do("lease_retire", token))

    def renew(self, tokens: Sequence[str]) -> list[str]:
        """Tell other hosts that these processes live; return those whose leases have ended all the same."""
        if not tokens:
            return []
        living = {token for (token,) in self._store.run(lambda step: step.rows("lease_renew", list(tokens)))}
        return [token for token in tokens if token not in living]

    def all(self) -> list[LeaseInfo]:
        """Return all leases, dead ones that nobody has reaped included."""
        rows = self._store.run(lambda step: step.rows("lease_all"))
        return [
            LeaseInfo(token, number, hostname, pid, tuple(queues), concurrency, started, host)
            for token, number, hostname, pid, queues, concurrency, started, host in rows
        ]

    def beat(self, token: str) -> float:
        """Return when a lease was renewed last, by the server's clock."""
        rows = self._store.run(lambda step: step.rows("lease_beat", token))
        return float(rows[0][0]) if rows else 0.0
