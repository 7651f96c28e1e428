"""Starts under a limit, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import pack
from umbel.state.limits import Ask, Rule, Start, Waiting

__all__ = ("RedisLimits",)


class RedisLimits:
    """The limits of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def reserve(self, asks: Sequence[Ask]) -> list[Start]:
        """Grant a start to each that may start now, promise one to each that may not."""
        answer = [float(part) for part in self._store.run("limit_reserve", pack([_fields(ask) for ask in asks]))]
        return [Start(*each) for each in zip(answer[::3], answer[1::3], answer[2::3], strict=True)]

    def give_back(self, ask: Ask) -> None:
        """Let others have the start that was promised to ``ask``."""
        owner, *_, limits = _fields(ask)
        self._store.run("limit_give_back", pack([owner, limits]))

    def change(self, base: str, rule: Rule | None) -> None:
        """Let ``rule`` hold for limit ``base``, and let those that wait be due now."""
        self._store.run("limit_change", base, "" if rule is None else f"{rule.count} {rule.seconds!r} {rule.burst}")

    def changes(self) -> dict[str, Rule]:
        """Return what has been changed."""
        with self._store.asking() as client:
            found = client.hgetall(self._store.key("limits"))
        return {base.decode(): _rule(text.decode()) for base, text in found.items()}

    def promised(self, owner: str, bases: Sequence[str]) -> dict[str, float]:
        """Return those of these limits for a start under which ``owner`` waits, and when it has that."""
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            for base in bases:
                pipe.zscore(self._store.key(f"limit-waits:{base}"), owner)
            found = pipe.execute()
        return {base: at for base, at in zip(bases, found, strict=True) if at is not None}

    def waiting(self, bases: Sequence[str]) -> list[Waiting]:
        """Return what waits for each of these limits."""
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            pipe.time()
            for base in bases:
                waits = self._store.key(f"limit-waits:{base}")
                pipe.zcard(waits)
                pipe.zrange(waits, -1, -1, withscores=True)
                pipe.hget(self._store.key("limit-lags"), base)
            (seconds, micros), *found = pipe.execute()
        now = seconds + micros / 1e6
        return [
            Waiting(jobs, max(last[0][1] - now, 0.0) if last else 0.0, float(lag or 0))
            for jobs, last, lag in zip(found[::3], found[1::3], found[2::3], strict=True)
        ]


def _fields(ask: Ask) -> list[Any]:
    limits = [[one.name, one.base, one.rule.count, one.rule.seconds, one.rule.burst] for one in ask.limits]
    return [ask.owner, ask.mark, ask.late, limits]


def _rule(text: str) -> Rule:
    count, seconds, burst = text.split(" ")
    return Rule(int(count), float(seconds), int(burst))
