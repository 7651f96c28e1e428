"""Circuit breakers by name, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine.redis_store import RedisStore
from umbel.state.breakers import Pass, Threshold

__all__ = ("RedisBreakers",)


class RedisBreakers:
    """The breakers of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def enter(self, name: str, owner: str, probe_seconds: float) -> Pass:
        """Ask whether ``owner`` may go on."""
        wait, probing = self._store.run("breaker_enter", name, owner, _milliseconds(probe_seconds))
        return Pass(int(wait) / 1000, bool(probing))

    def look(self, names: Sequence[str]) -> list[float | None]:
        """Return for how many seconds nobody passes each of these; None where a probe may pass."""
        found = self._store.run("breaker_look", *names)
        return [None if wait < 0 else wait / 1000 for wait in map(int, found)]

    def failed(self, name: str, owner: str, threshold: Threshold) -> bool:
        """Count a failure; return whether the breaker is open now."""
        spans = _milliseconds(threshold.within), _milliseconds(threshold.open_for)
        return bool(self._store.run("breaker_failed", name, owner, threshold.failures, *spans))

    def succeeded(self, name: str, owner: str) -> None:
        """Close the breaker, if ``owner`` is its probe."""
        self._store.run("breaker_succeeded", name, owner)

    def opens_in(self, name: str) -> float:
        """Return for how many seconds nobody passes."""
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            pipe.hget(self._store.key(f"breaker:{name}"), "open")
            pipe.time()
            found, (seconds, micro) = pipe.execute()
        return max(0.0, float(found) - seconds - micro / 1_000_000) if found else 0.0


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
