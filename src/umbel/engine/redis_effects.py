"""Effects by key, in Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.redis_store import RedisStore
from umbel.state.effects import Answer, Bid, Effects, Ending, Standing, Uncertain

__all__ = ("RedisEffects",)


class RedisEffects(Effects):
    """The effects of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def claim_many(self, bids: Sequence[Bid]) -> list[Answer]:
        """Claim effects."""
        words: list[str | int] = []
        for one in bids:
            who = one.who
            words += (one.name, who.owner, who.run, who.token, _milliseconds(one.seconds), int(one.begun), one.doubtful)
        return [_answer(*found) for found in self._store.run("effect_claim", *words)]

    def end_many(self, endings: Sequence[Ending]) -> list[bool]:
        """Note what is said of effects; False for those whose claim was lost."""
        words: list[str | int] = []
        for one in endings:
            words += (one.name, one.token, one.said, one.result, _milliseconds(one.seconds))
        return [bool(kept) for kept in self._store.run("effect_end", *words)]

    def renew(self, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
        """Let claims last longer; False for one that was lost."""
        words = [word for pair in held for word in pair]
        return [bool(lasts) for lasts in self._store.run("effect_renew", _milliseconds(seconds), *words)]

    def uncertain(self, limit: int = 100) -> list[Uncertain]:
        """Return the effects of which nobody knows, the oldest first."""
        with self._store.asking() as client:
            words = {"start": 0, "num": limit, "withscores": True}
            found = client.zrangebyscore(self._store.key("effects"), "-inf", int(time.time() * 1000), **words)
            pipe = client.pipeline(transaction=False)
            for name, _ in found:
                pipe.hget(self._store.key("effect:" + name.decode()), "owner")
            owners = pipe.execute()
        return [
            Uncertain(name.decode(), owner.decode(), ends / 1000)
            for (name, ends), owner in zip(found, owners, strict=True)
            if owner is not None
        ]

    def resolve(self, name: str, result: str | None, seconds: float) -> bool:
        """Say whether an uncertain effect is there; False if it is not uncertain."""
        word = "undone" if result is None else "done"
        return bool(self._store.run("effect_resolve", name, word, result or "", _milliseconds(seconds)))


def _answer(standing: bytes, left: Any, held: Any, result: bytes) -> Answer:
    done = standing == b"done"
    return Answer(Standing(standing.decode()), int(left) / 1000, bool(held), result.decode() if done else None)


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
