"""A store as the models and the races see it: an engine's own primitives, or those of a state store beside a broker.

Another primitive is one more attribute here, for both kinds.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from umbel.engine.envelope import headers_of
from umbel.engine.letters import ANY, DeadLetter, LetterFilter, Replay
from umbel.engine.rabbit_wire import keyed
from umbel.engine.registry import open_engine, open_state
from umbel.engine.state import Claim, Keyed, Verdict
from umbel.engine.store import Outgoing, Record, Settled
from umbel.engine.uniques import UniqueKey
from umbel.jobs.locks import LockKeeper
from umbel.state.breakers import Breakers
from umbel.state.limits import Limits
from umbel.state.locks import Locks
from umbel.state.slots import Slots
from umbel.testing.contract._suite import payload

__all__ = ("EngineStore", "StateStore", "Store", "open_store")

#: How the URL of a state store begins here: a Redis can be either.
STATE: Final = "state+"


class Letters(Protocol):
    """What a sweeper asks of dead letters."""

    def find(
        self, wanted: LetterFilter = ANY, *, limit: int = 100, after: int | None = None, oldest: bool = False
    ) -> list[DeadLetter]: ...

    def read(self, keys: Sequence[str]) -> list[DeadLetter]: ...

    def drop(self, numbers: Sequence[int]) -> int: ...

    def replay(self, wanted: Sequence[Replay]) -> list[int]: ...


class Store(Protocol):
    """The primitives of one store. Each job has a queue of its own, whose name is its id."""

    #: Whether it holds the messages: then it wakes who waits for a lock, and changes a message that waits.
    holds: bool
    locks: Locks
    #: Renews what this process holds of them.
    keeper: LockKeeper
    breakers: Breakers
    limits: Limits
    slots: Slots
    letters: Letters

    def new_tag(self) -> Any:
        """Return a delivery tag."""

    def dispatch(self, task_id: str, key: UniqueKey | None = None, *, due: float | None = None) -> str:
        """Queue a job unless another one has its key; return the id of the one that has it."""

    def holder(self, name: str) -> str | None:
        """Return the id of the job that has the key ``name``."""

    def supersede(self, task_id: str, word: str) -> bool:
        """Put ``word`` in the place of a waiting job's message."""

    def start(self, task_id: str) -> str | None:
        """Let a worker take a job that waits; return the word of its message, None when there is nothing to take."""

    def give_back(self, task_id: str) -> None:
        """Let the worker give it back."""

    def end(self, task_id: str) -> None:
        """Let a job that was taken end."""

    def put_off(self, task_id: str, due: float) -> None:
        """Let a job that was taken wait, delayed."""

    def cancel(self, task_id: str) -> None:
        """Cancel a job."""

    def write(self, end: Any) -> None:
        """Write what a job's end means for its dead letter."""

    def known(self, task_ids: Sequence[str]) -> list[str]:
        """Return those of the jobs whose messages the store knows."""

    def waiting(self, task_id: str) -> int:
        """Return how many messages of a job wait to be taken, or to be published."""

    def sweep(self) -> None:
        """Drop what has ended."""

    def close(self) -> None:
        """Close everything."""


class EngineStore:
    """An engine: it holds the messages itself."""

    holds = True

    def __init__(self, url: str) -> None:
        self.engine: Final = open_engine(url)
        self.engine.open_lease("here@test", ["default"], 10)
        self.locks, self.breakers, self.letters = self.engine.locks, self.engine.breakers, self.engine.letters
        self.limits, self.slots = self.engine.limits, self.engine.slots
        self.keeper = LockKeeper(lambda: self.locks)
        self._held: dict[str, int] = {}

    def new_tag(self) -> Any:
        return self.engine.new_tag()

    def dispatch(self, task_id: str, key: UniqueKey | None = None, *, due: float | None = None) -> str:
        (holder,) = self.engine.uniques.enqueue([_message(task_id, key, due=due)])
        return holder

    def holder(self, name: str) -> str | None:
        return self.engine.uniques.holder(name)

    def supersede(self, task_id: str, word: str) -> bool:
        return self.engine.uniques.supersede(_message(task_id, word=word))

    def start(self, task_id: str) -> str | None:
        found = self.engine.fetch({task_id: 0}, 1)
        if not found:
            return None
        self._held[task_id] = found[0].seq
        return _word(found[0].payload)

    def give_back(self, task_id: str) -> None:
        self._settle(task_id, Settled(action="requeue"))

    def end(self, task_id: str) -> None:
        self._settle(task_id, Settled(action="ack"))

    def put_off(self, task_id: str, due: float) -> None:
        self._settle(task_id, Settled(action="ack", outgoing=[_message(task_id, due=due)]))

    def _settle(self, task_id: str, entry: Settled) -> None:
        entry.seq = self._held.pop(task_id)
        assert not self.engine.settle([entry]).refused

    def cancel(self, task_id: str) -> None:
        assert self.engine.cancel(task_id, Record(task_id, "REVOKED", True, "{}"))

    def write(self, end: Any) -> None:
        self.engine.settle([Settled(letter=end)])

    def known(self, task_ids: Sequence[str]) -> list[str]:
        return [one for one in task_ids if self.engine.locate(one) is not None]

    def waiting(self, task_id: str) -> int:
        return self.engine.names.size(task_id)

    def sweep(self) -> None:
        self.engine.sweep()

    def close(self) -> None:
        self.engine.close()


class StateStore:
    """A state store: what it lets go out stands in its outbox, and the broker is not there."""

    holds = False

    def __init__(self, url: str) -> None:
        self.state: Final = open_state(url)
        self._token: Final = secrets.token_hex(8)
        self.state.leases.open(self._token, "here@test", ["default"], 10)
        self.locks, self.breakers, self.letters = self.state.locks, self.state.breakers, _StateLetters(self.state)
        self.limits, self.slots = self.state.limits, self.state.slots
        self.keeper = LockKeeper(lambda: self.locks)
        self._numbers = itertools.count(1)
        self._held: dict[str, int] = {}
        self._seen: set[str] = set()

    def new_tag(self) -> Any:
        return 0

    def dispatch(self, task_id: str, key: UniqueKey | None = None, *, due: float | None = None) -> str:
        (holder,) = self.state.note_unique([Keyed(task_id, _message(task_id, key, due=due), "shop.greet")])
        return holder

    def holder(self, name: str) -> str | None:
        return self.state.unique_holder(name)

    def supersede(self, task_id: str, word: str) -> bool:
        raise NotImplementedError("the broker has the message")

    def start(self, task_id: str) -> str | None:
        if task_id in self._held or self.state.locate(task_id) is None:
            return None
        number = next(self._numbers)
        claim = Claim(number, task_id, task_id, 0, task_id, repeated=task_id in self._seen)
        (answer,) = self.state.claim(self._token, [claim])
        assert answer.verdict is Verdict.RUN
        self._held[task_id] = answer.seq or number
        self._seen.add(task_id)
        return ""

    def give_back(self, task_id: str) -> None:
        self._settle(task_id, "requeue")

    def end(self, task_id: str) -> None:
        self._settle(task_id, "ack")

    def put_off(self, task_id: str, due: float) -> None:
        raise NotImplementedError("the broker has the message")

    def _settle(self, task_id: str, action: str) -> None:
        entry = Settled(self._held.pop(task_id), action)
        assert not self.state.settle(self._token, [entry], crash_limit=3).refused

    def cancel(self, task_id: str) -> None:
        assert self.state.cancel(task_id, Record(task_id, "REVOKED", True, "{}"))

    def write(self, end: Any) -> None:
        self.state.settle(self._token, [Settled(letter=end)], crash_limit=3)

    def known(self, task_ids: Sequence[str]) -> list[str]:
        return [one for one in task_ids if self.state.locate(one) is not None]

    def waiting(self, task_id: str) -> int:
        return sum(one.message.task_id == task_id for one in self.state.outbox())

    def sweep(self) -> None:
        self.state.sweep()

    def close(self) -> None:
        self.state.close()


class _StateLetters:
    """The letters of a state store, with replays into its outbox."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self.find, self.read, self.drop = state.letters.find, state.letters.read, state.letters.drop

    def replay(self, wanted: Sequence[Replay]) -> list[int]:
        known = [replace(one, message=keyed(one.message)[0].message) for one in wanted]
        return [number for number, _ in self._state.replay(known)]


def open_store(url: str) -> Store:
    """Return the store of ``url``; ``state+`` before it for a state store."""
    return StateStore(url.removeprefix(STATE)) if url.startswith(STATE) else EngineStore(url)


def _message(task_id: str, key: UniqueKey | None = None, *, word: str = "", due: float | None = None) -> Outgoing:
    return Outgoing(task_id, payload(task_id, word=word), task_id, due=due, unique=key)


def _word(text: str) -> str:
    return str(headers_of(text)["word"])
