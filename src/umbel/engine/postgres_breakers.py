"""Circuit breakers by name, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.breakers import Pass, Threshold

__all__ = ("PostgresBreakers",)


class PostgresBreakers:
    """The breakers of one database."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def enter(self, name: str, owner: str, probe_seconds: float) -> Pass:
        """Ask whether ``owner`` may go on."""

        def ask(step: Step) -> Pass:
            rows = step.rows("breaker_find", name)
            if not rows or rows[0][0] is None:
                return Pass(0.0)
            rows = step.rows("breaker_lock", name)
            if not rows or rows[0][0] is None:
                return Pass(0.0)
            opens, probe, until, failures, now = rows[0]
            wait = opens - now
            if wait <= 0 and probe is not None and probe != owner:
                wait = until - now
            if wait > 0:
                return Pass(wait)
            step.do("breaker_set", failures, opens, owner, now + probe_seconds, name)
            return Pass(0.0, probing=True)

        return self._store.run(ask)

    def look(self, names: Sequence[str]) -> list[float | None]:
        """Return for how many seconds nobody passes each of these; None where a probe may pass."""
        found = self._store.run(lambda step: step.each_rows("breaker_find", [(name,) for name in names]))
        return [_wait(rows) for rows in found]

    def failed(self, name: str, owner: str, threshold: Threshold) -> bool:
        """Count a failure; return whether the breaker is open now."""

        def count(step: Step) -> bool:
            rows: list[tuple[Any, ...]] = []
            while not rows:
                # A probe that succeeds may close it between the two.
                step.do("breaker_note", name)
                rows = step.rows("breaker_lock", name)
            opens, probe, _, failures, now = rows[0]
            if opens is not None and probe != owner:
                return bool(opens > now)
            if opens is None:
                failures = [*(at for at in failures if at >= now - threshold.within), now]
                if len(failures) < threshold.failures:
                    step.do("breaker_set", failures, None, None, None, name)
                    return False
            step.do("breaker_set", [], now + threshold.open_for, None, None, name)
            return True

        return self._store.run(count)

    def succeeded(self, name: str, owner: str) -> None:
        """Close the breaker, if ``owner`` is its probe."""
        self._store.run(lambda step: step.do("breaker_close", name, owner))

    def opens_in(self, name: str) -> float:
        """Return for how many seconds nobody passes."""
        rows = self._store.run(lambda step: step.rows("breaker_find", name))
        return max(0.0, rows[0][0] - rows[0][4]) if rows and rows[0][0] is not None else 0.0


def _wait(rows: Sequence[tuple[Any, ...]]) -> float | None:
    if not rows or rows[0][0] is None:
        return 0.0
    opens, probe, until, _, now = rows[0]
    ends = opens if opens > now or probe is None else until
    return float(ends - now) if ends > now else None
