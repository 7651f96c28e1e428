"""One store's side of a move, and the shapes that travel.

Messages go in crates, and a crate is packed, admitted and discarded in one step each. What is known by an id (states,
groups, chords, cancellations, ticks) is copied, and copying it twice changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umbel.engine.store import DeadLetter, Stored

__all__ = ("Belongings", "Cancelled", "Chord", "Crate", "Group", "Kept", "Moving", "Parcel", "Tick")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message that waits, with all that goes with it."""

    queue: str
    payload: str
    task_id: str | None
    priority: int
    #: When it was queued; 0 when nobody knows.
    enqueued: float
    due: float | None = None
    deliveries: int = 0
    crashes: int = 0
    suspect: bool = False
    verdict: str | None = None
    cancelled: Cancelled | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A cancellation: ``running``, also when the job has begun."""

    task_id: str
    at: float
    running: bool


@dataclass(frozen=True, slots=True)
class Crate:
    """Messages and dead letters on their way to the store whose identity is ``target``, in their order."""

    token: str
    target: str
    #: How the target was called when the crate was packed.
    label: str
    parcels: tuple[Parcel, ...] = ()
    letters: tuple[DeadLetter, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored state, and when it goes."""

    stored: Stored
    expires: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """The shape of a group."""

    group_id: str
    meta: bytes | str
    expires: float | None


@dataclass(frozen=True, slots=True)
class Chord:
    """How far a chord is. ``parts`` are (task id, place, result)."""

    group_id: str
    size: int | None
    extra: int
    fired: bool
    expires: float
    parts: tuple[tuple[str, int, bytes | str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """The last run of a schedule's entry."""

    entry: str
    last_run: float
    runs: int


@dataclass(frozen=True, slots=True)
class Belongings:
    """What is copied: everything in it is known by an id."""

    states: tuple[Kept, ...] = ()
    groups: tuple[Group, ...] = ()
    chords: tuple[Chord, ...] = ()
    cancelled: tuple[Cancelled, ...] = ()
    ticks: tuple[Tick, ...] = ()


class Moving(ABC):
    """One store's side of a move, as source or as target. Each call is one step, done whole or not at all."""

    @abstractmethod
    def identity(self) -> str:
        """Return the store's own name, which it keeps wherever its address leads."""

    @abstractmethod
    def doubt(self) -> float:
        """Return for how many seconds to go on reaping until all who seem to live do, on other hosts too."""

    # -- at the source ----------------------------------------------------------------------------------------

    @abstractmethod
    def pack(self, limit: int, target: str, label: str) -> Crate | None:
        """Return the packed crate, or pack one for ``target``: up to ``limit`` messages, else dead letters.

        None when nothing waits. What a process holds is not packed. A crate that was packed for another target is
        returned as it is.
        """

    @abstractmethod
    def packed(self) -> Crate | None:
        """Return the crate that is packed, if there is one."""

    @abstractmethod
    def discard(self, token: str) -> None:
        """Drop the crate of this token, which its target has admitted; nothing if it has gone."""

    @abstractmethod
    def recall(self) -> int:
        """Put the packed crate back to the heads of its queues; return how many messages that were."""

    @abstractmethod
    def chords(self, group_ids: Sequence[str] | None = None) -> Iterator[Belongings]:
        """Give the chords named, or all, some at a time."""

    @abstractmethod
    def belongings(self) -> Iterator[Belongings]:
        """Give everything else that is copied, some at a time."""

    # -- at the target ----------------------------------------------------------------------------------------

    @abstractmethod
    def admit(self, crate: Crate) -> bool:
        """Queue what is in ``crate``, behind what waits; False if it was admitted before."""

    @abstractmethod
    def keep(self, belongings: Belongings) -> None:
        """Store what is not known here, or is newer than what is; an end is never overwritten by less."""
