"""Batches in a Redis beside another broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from umbel.engine.redis_batches import RedisBatchBook
from umbel.engine.redis_store import RedisStore
from umbel.engine.state import Posted
from umbel.engine.store import Outgoing

__all__ = ("RedisBesideBatches",)


class RedisBesideBatches(RedisBatchBook):
    """The batches of a server that keeps the state only."""

    def __init__(
        self,
        store: RedisStore,
        note: Callable[[Iterable[str]], None],
        posted: Callable[[Sequence[Any]], list[Posted]],
    ) -> None:
        """``posted`` reads numbers and messages of the outbox."""
        super().__init__(store, note)
        self._posted = posted

    def add(self, token: str, batch_id: str, messages: Sequence[Outgoing]) -> tuple[int, list[Posted]]:
        """Put jobs into the outbox as members; return how many were new, and what is to be published."""
        self._note({one.queue for one in messages})
        status, new, posted = self._insist("state_batch_add", batch_id, self._packed(messages), token)
        self._added(batch_id, status)
        return int(new), self._posted(posted)

    def turn(self, token: str, what: str, batch_id: str) -> tuple[bool, list[Posted]]:
        """Change a batch; return whether that changed anything."""
        changed, posted = self._store.run("state_batch_turn", batch_id, what, token)
        return bool(changed), self._posted(posted)
