"""Effects by key, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.effects import Answer, Claimant, Doubtful, Row, Uncertain, judge

__all__ = ("PostgresEffects",)


class PostgresEffects:
    """The effects of one database."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def claim(
        self, name: str, who: Claimant, seconds: float, *, begun: bool = True, doubtful: Doubtful = "leave"
    ) -> Answer:
        """Claim an effect for ``seconds``."""

        def take(step: Step) -> Answer | None:
            found = step.rows("effect_find", name)
            row = Row(*found[0]) if found else None
            answer, state = judge(row, who, begun=begun, doubtful=doubtful)
            values = (state, who.owner, who.run, who.token, seconds)
            if row is None:
                # Another one may be as new.
                return answer if step.do("effect_new", name, *values) else None
            if state == "uncertain":
                step.do("effect_interrupted", name)
            elif state is not None:
                step.do("effect_take", *values, name)
            return answer

        while True:
            answer = self._store.run(take)
            if answer is not None:
                return answer

    def begin(self, name: str, token: str) -> bool:
        """Note that from now on the effect may be there; False if the claim was lost."""
        return self._do("effect_begin", name, token)

    def renew(self, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
        """Let claims last longer; False for one that was lost."""
        return self._store.run(lambda step: _renew(step, held, seconds))

    def complete(self, name: str, token: str, result: str, seconds: float) -> bool:
        """Note that the effect is there, and keep its result; False if another one has claimed it."""
        return self._do("effect_complete", result, seconds, name, token)

    def release(self, name: str, token: str) -> bool:
        """Note that the effect is not there; False if the claim was lost."""
        return self._do("effect_release", name, token)

    def doubt(self, name: str, token: str) -> bool:
        """Note that nobody knows; False if the claim was lost."""
        return self._do("effect_doubt", name, token)

    def uncertain(self, limit: int = 100) -> list[Uncertain]:
        """Return the effects of which nobody knows, the oldest first."""
        return [Uncertain(*row) for row in self._store.run(lambda step: step.rows("effect_uncertain", limit))]

    def resolve(self, name: str, result: str | None, seconds: float) -> bool:
        """Say whether an uncertain effect is there; False if it is not uncertain."""
        if result is None:
            return self._do("effect_resolve_undone", name)
        return self._do("effect_resolve_done", result, seconds, name)

    def _do(self, statement: str, *values: Any) -> bool:
        return self._store.run(lambda step: step.do(statement, *values)) > 0


def _renew(step: Step, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
    # In one order everywhere, so that two processes never wait for each other.
    lasts = {pair: step.do("effect_renew", seconds, *pair) > 0 for pair in sorted(held)}
    return [lasts[pair] for pair in held]
