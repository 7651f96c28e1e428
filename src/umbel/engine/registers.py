"""What an engine keeps beside messages and results: the names of queues, and the members of groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from umbel.state.breakers import Breakers
from umbel.state.checkpoints import Checkpoints
from umbel.state.effects import Effects
from umbel.state.events import EventLog
from umbel.state.limits import Limits
from umbel.state.locks import Locks
from umbel.state.slots import Slots

__all__ = ("Groups", "Names", "Primitives")


class Names(Protocol):
    """Queues and bindings, as every process declared them."""

    def declare(self, name: str, *, transient: bool) -> None:
        """Make queue ``name`` known; a transient one goes when its listener is gone."""

    def exists(self, name: str) -> bool:
        """Whether queue ``name`` has been declared."""

    def size(self, name: str) -> int:
        """Return how many messages of queue ``name`` are ready."""

    def waits(self) -> dict[str, float]:
        """Return for how many seconds the next messages of each lasting queue have been due, the longest of them.

        Without queues in which nothing waits, and what a store does not tell.
        """

    def drop(self, name: str) -> None:
        """Remove a queue: a transient one with everything, of a lasting one only what waits in it."""

    def mark_paused(self, name: str, *, paused: bool) -> None:
        """Note whether queue ``name``, which is made if there is none, may be fetched from."""

    def touch(self, names: Iterable[str]) -> None:
        """Note that the listeners of ``names`` are alive."""

    def bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Let ``exchange`` feed ``queue``."""

    def bindings(self, exchange: str) -> list[tuple[str, str, str]]:
        """Return (routing key, pattern, queue) of everything bound to ``exchange``."""


class Groups(Protocol):
    """The shapes of groups, and the counters of chords: :mod:`umbel.engine.batches`."""

    def save(self, group_id: str, meta: bytes | str, expires: float | None) -> None:
        """Keep the shape of a group."""

    def read(self, group_id: str) -> bytes | str | None:
        """Return a group's shape, or None."""

    def forget(self, group_id: str) -> None:
        """Drop a group's shape."""

    def set_size(self, group_id: str, size: int, expires: float | None) -> None:
        """Tell how many parts make chord ``group_id`` complete."""

    def grow(self, group_id: str, expires: float | None) -> None:
        """Let chord ``group_id`` wait for one part more."""

    def parts(self, group_id: str) -> list[tuple[str, bytes | str]]:
        """Return (id, result) of a chord's parts in their order."""

    def complete(self, before: float, limit: int) -> list[str]:
        """Return chords that are complete, whose callback has not been sent, and of which nothing was heard since."""


class Primitives:
    """What promises and history stand on, of an engine or of a state store beside a broker: :mod:`umbel.state`."""

    locks: Locks
    breakers: Breakers
    checkpoints: Checkpoints
    effects: Effects
    events: EventLog
    limits: Limits
    slots: Slots
