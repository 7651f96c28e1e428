"""Dead letters beside RabbitMQ: the state store has them, and a replay goes through its outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from umbel.engine.letters import ANY, DeadLetter, LetterFilter, Letters, Replay
from umbel.engine.rabbit_outbox import Outbox
from umbel.engine.rabbit_wire import keyed
from umbel.engine.state import State

__all__ = ("RabbitLetters",)


class RabbitLetters(Letters):
    """The dead letters of a state store, whose replays are published at the broker."""

    def __init__(self, state: State, outbox: Callable[[], Outbox]) -> None:
        """``outbox`` returns this process's own."""
        self._state = state
        self._outbox = outbox
        self.limits = state.letters.limits

    def find(
        self, wanted: LetterFilter = ANY, *, limit: int = 100, after: int | None = None, oldest: bool = False
    ) -> list[DeadLetter]:
        return self._state.letters.find(wanted, limit=limit, after=after, oldest=oldest)

    def read(self, keys: Sequence[str]) -> list[DeadLetter]:
        return self._state.letters.read(keys)

    def get(self, number: int) -> DeadLetter | None:
        return self._state.letters.get(number)

    def count(self) -> int:
        return self._state.letters.count()

    def drop(self, numbers: Sequence[int]) -> int:
        return self._state.letters.drop(numbers)

    def prune(self) -> int:
        return self._state.letters.prune()

    def replay(self, wanted: Sequence[Replay]) -> list[int]:
        # Each with a key of its own, by which it is known however often it is published.
        done = self._state.replay([replace(one, message=keyed(one.message)[0].message) for one in wanted])
        # What dies here is published by another process: it stands in the outbox.
        self._outbox().publish([posted for _, posted in done])
        return [number for number, _ in done]
