"""Effects by key, in Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.redis_store import RedisStore
from umbel.state.effects import Answer, Claimant, Doubtful, Standing, Uncertain

__all__ = ("RedisEffects",)


class RedisEffects:
    """The effects of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def claim(
        self, name: str, who: Claimant, seconds: float, *, begun: bool = True, doubtful: Doubtful = "leave"
    ) -> Answer:
        """Claim an effect for ``seconds``."""
        words = (name, who.owner, who.run, who.token, _milliseconds(seconds), int(begun), doubtful)
        standing, left, held, result = self._store.run("effect_claim", *words)
        done = standing == b"done"
        return Answer(Standing(standing.decode()), int(left) / 1000, bool(held), result.decode() if done else None)

    def begin(self, name: str, token: str) -> bool:
        """Note that from now on the effect may be there; False if the claim was lost."""
        return self._do("effect_end", name, token, "begin")

    def renew(self, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
        """Let claims last longer; False for one that was lost."""
        words = [word for pair in held for word in pair]
        return [bool(lasts) for lasts in self._store.run("effect_renew", _milliseconds(seconds), *words)]

    def complete(self, name: str, token: str, result: str, seconds: float) -> bool:
        """Note that the effect is there, and keep its result; False if another one has claimed it."""
        return self._do("effect_end", name, token, "complete", result, _milliseconds(seconds))

    def release(self, name: str, token: str) -> bool:
        """Note that the effect is not there; False if the claim was lost."""
        return self._do("effect_end", name, token, "release")

    def doubt(self, name: str, token: str) -> bool:
        """Note that nobody knows; False if the claim was lost."""
        return self._do("effect_end", name, token, "doubt")

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
        return self._do("effect_resolve", name, word, result or "", _milliseconds(seconds))

    def _do(self, script: str, *words: Any) -> bool:
        return bool(self._store.run(script, *words))


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
