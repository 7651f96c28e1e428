"""Effects by key, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.effects import Answer, Bid, Effects, Ending, Row, Uncertain, judge

__all__ = ("PostgresEffects",)


class PostgresEffects(Effects):
    """The effects of one database."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def claim_many(self, bids: Sequence[Bid]) -> list[Answer]:
        """Claim effects, in one order everywhere, so that two processes never wait for each other."""
        order = sorted(range(len(bids)), key=lambda at: bids[at].name)
        found = self._store.run(lambda step: {at: _claim(step, bids[at]) for at in order})
        return [found[at] for at in range(len(bids))]

    def end_many(self, endings: Sequence[Ending]) -> list[bool]:
        """Note what is said of effects; False for those whose claim was lost."""
        order = sorted(range(len(endings)), key=lambda at: endings[at].name)
        kept = self._store.run(lambda step: {at: _end(step, endings[at]) for at in order})
        return [kept[at] for at in range(len(endings))]

    def renew(self, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
        """Let claims last longer; False for one that was lost."""
        return self._store.run(lambda step: _renew(step, held, seconds))

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


def _claim(step: Step, bid: Bid) -> Answer:
    while True:
        found = step.rows("effect_find", bid.name)
        row = Row(*found[0]) if found else None
        answer, state = judge(row, bid.who, begun=bid.begun, doubtful=bid.doubtful)
        values = (state, bid.who.owner, bid.who.run, bid.who.token, bid.seconds)
        if row is None:
            if step.do("effect_new", bid.name, *values):
                return answer
            # Another one is as new.
            continue
        if state == "uncertain":
            step.do("effect_interrupted", bid.name)
        elif state is not None:
            step.do("effect_take", *values, bid.name)
        return answer


def _end(step: Step, ending: Ending) -> bool:
    if ending.said == "complete":
        return step.do("effect_complete", ending.result, ending.seconds, ending.name, ending.token) > 0
    return step.do(f"effect_{ending.said}", ending.name, ending.token) > 0


def _renew(step: Step, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
    # In one order everywhere, so that two processes never wait for each other.
    lasts = {pair: step.do("effect_renew", seconds, *pair) > 0 for pair in sorted(held)}
    return [lasts[pair] for pair in held]
