"""Who of several hosts' schedulers works, decided at PostgreSQL, in the way of :mod:`umbel.engine.redis_leader`."""

from __future__ import annotations

import secrets
import time
from typing import Final

from umbel.engine.leader import Leader
from umbel.engine.postgres_store import PostgresStore, Step
from umbel.errors import StoreError

__all__ = ("PostgresLeader",)

#: How long a leader's beat must stand still before it is taken for dead.
LEADER_SECONDS: Final = 8.0
#: One look proves at most this part of it.
_LOOK: Final = 0.4
_NOBODY: Final = (-1, -1)


class PostgresLeader(Leader):
    """A candidacy for ``name``: the schedulers of one application."""

    def __init__(self, store: PostgresStore, name: str) -> None:
        self.name: Final = name
        self._store = store
        self._token: Final = secrets.token_hex(8)
        self._look_away()

    def _look_away(self) -> None:
        self._seen, self._stood, self._looked = _NOBODY, 0.0, time.monotonic()

    def leads(self) -> bool:
        dead = self._seen if self._stood >= LEADER_SECONDS else _NOBODY
        try:
            term, said = self._store.run(lambda step: self._ask(step, dead))
        except StoreError:
            # What was watched until now may go on unseen.
            self._look_away()
            raise
        self.term = term
        if not term:
            self._watch(said)
        return bool(term)

    def _ask(self, step: Step, dead: tuple[int, int]) -> tuple[str, tuple[int, int]]:
        asked = {"name": self.name, "token": self._token, "dead_term": dead[0], "dead_beat": dead[1]}
        for (term,) in step.rows("lead", asked):
            return str(term), _NOBODY
        rows = step.rows("leads", self.name)
        return "", rows[0] if rows else _NOBODY

    def _watch(self, said: tuple[int, int]) -> None:
        now = time.monotonic()
        passed = min(now - self._looked, _LOOK * LEADER_SECONDS)
        self._stood = self._stood + passed if said == self._seen else 0.0
        self._seen, self._looked = said, now

    def resign(self) -> None:
        self.term = ""
        self._store.run(lambda step: step.do("resign", self.name, self._token))
