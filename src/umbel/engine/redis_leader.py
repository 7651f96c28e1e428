"""Who of several hosts' schedulers works, decided at Redis.

The leader counts its beat up at the store; whoever has watched the beat stand still for :data:`LEADER_SECONDS` of its
own clock, with the server answering, may take its place. No clock is compared with another one, so that none can be
wrong. A leader that was stopped and goes on still believes that it leads: its ticks name its term, and the store
refuses those of an earlier term.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

from umbel.engine.leader import Leader
from umbel.engine.redis_store import RedisStore
from umbel.errors import StoreError

__all__ = ("LEADER_SECONDS", "RedisLeader")

#: How long a leader's beat must stand still before it is taken for dead.
LEADER_SECONDS: Final = 8.0
#: One look proves at most this part of it.
_LOOK: Final = 0.4


class RedisLeader(Leader):
    """A candidacy for ``name``: the schedulers of one application."""

    def __init__(self, store: RedisStore, name: str) -> None:
        self.name: Final = name
        self._store = store
        self._token: Final = secrets.token_hex(8)
        self._look_away()

    def _look_away(self) -> None:
        self._seen, self._stood, self._looked = b"", 0.0, time.monotonic()

    def leads(self) -> bool:
        taken_for_dead = self._seen if self._stood >= LEADER_SECONDS else b""
        try:
            mine, said = self._store.run("lead", self.name, self._token, taken_for_dead)
        except StoreError:
            # What was watched until now may go on unseen.
            self._look_away()
            raise
        self.term = said.partition(b" ")[0].decode() if mine else ""
        if not mine:
            self._watch(said)
        return bool(mine)

    def _watch(self, said: bytes) -> None:
        now = time.monotonic()
        passed = min(now - self._looked, _LOOK * LEADER_SECONDS)
        self._stood = self._stood + passed if said == self._seen else 0.0
        self._seen, self._looked = said, now

    def resign(self) -> None:
        self.term = ""
        self._store.run("resign", self.name, self._token)
