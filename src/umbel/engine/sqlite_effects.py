"""Effects by key, in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.state.effects import Answer, Claimant, Doubtful, Row, Uncertain, judge

__all__ = ("EffectTable",)

_SQL: Final = statements("effects.sql")


class EffectTable:
    """The effects of one file."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def claim(
        self, name: str, who: Claimant, seconds: float, *, begun: bool = True, doubtful: Doubtful = "leave"
    ) -> Answer:
        """Claim an effect for ``seconds``."""
        with self._file.write() as connection:
            now = self._file.now()
            found = connection.execute(_SQL["find"], (name,)).fetchone()
            answer, state = judge(_row(found, now), who, begun=begun, doubtful=doubtful)
            if state == "uncertain":
                connection.execute(_SQL["interrupted"], (name, now))
            elif state is not None:
                connection.execute(_SQL["take"], (name, state, who.owner, who.run, who.token, now + seconds))
        return answer

    def begin(self, name: str, token: str) -> bool:
        """Note that from now on the effect may be there; False if the claim was lost."""
        return self._do("begin", lambda now: (name, token, now))

    def renew(self, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
        """Let claims last longer; False for one that was lost."""
        with self._file.write() as connection:
            now = self._file.now()
            return [
                connection.execute(_SQL["renew"], (name, token, now + seconds, now)).rowcount > 0
                for name, token in held
            ]

    def complete(self, name: str, token: str, result: str, seconds: float) -> bool:
        """Note that the effect is there, and keep its result; False if another one has claimed it."""
        return self._do("complete", lambda now: (name, token, result, now + seconds, now))

    def release(self, name: str, token: str) -> bool:
        """Note that the effect is not there; False if the claim was lost."""
        return self._do("release", lambda now: (name, token, now))

    def doubt(self, name: str, token: str) -> bool:
        """Note that nobody knows; False if the claim was lost."""
        return self._do("doubt", lambda now: (name, token, now))

    def uncertain(self, limit: int = 100) -> list[Uncertain]:
        """Return the effects of which nobody knows, the oldest first."""
        with self._file.read() as connection:
            rows = connection.execute(_SQL["uncertain"], (self._file.now(), limit)).fetchall()
        return [Uncertain(*row) for row in rows]

    def resolve(self, name: str, result: str | None, seconds: float) -> bool:
        """Say whether an uncertain effect is there; False if it is not uncertain."""
        if result is None:
            return self._do("resolve_undone", lambda now: (name, now))
        return self._do("resolve_done", lambda now: (name, result, now + seconds, now))

    def sweep(self) -> None:
        """Drop results that are kept no longer."""
        self._do("sweep", lambda now: (now,))

    def _do(self, statement: str, values: Callable[[float], tuple[Any, ...]]) -> bool:
        with self._file.turn() as connection:
            return connection.execute(_SQL[statement], values(self._file.now())).rowcount > 0


def _row(found: tuple[Any, ...] | None, now: float) -> Row | None:
    if found is None:
        return None
    state, owner, run, token, ends, result = found
    return Row(state, owner, run, token, ends - now, result)
