"""One store's side of a move, and the shapes that travel.

What must be in one place only goes in crates, and a crate is packed, admitted and discarded in one step each: batches,
uncertain effects, messages, dead letters. What is known by an id (states, groups, chords, members of batches,
checkpoints, results of effects, cancellations, ticks) is copied, and copying it twice changes nothing.

A batch that was packed is held, here and there: its members are counted, and its callbacks wait until all that it is
about has arrived. Then its target lets it go, and the source drops it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from umbel.state.effects import Uncertain

if TYPE_CHECKING:
    from umbel.engine.batches import MemberEnd, Tally
    from umbel.engine.store import DeadLetter, Outgoing, Stored

__all__ = (
    "ARRIVING",
    "PENDING",
    "Belongings",
    "Bundle",
    "Cancelled",
    "Chord",
    "Crate",
    "Cursors",
    "Effect",
    "Group",
    "HeldBatch",
    "Kept",
    "Moving",
    "Parcel",
    "Running",
    "Tick",
)

#: How a member stands that has not ended.
PENDING: Final = "p"
#: The label of a batch that is held because it comes, not because it goes.
ARRIVING: Final = "this store"


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
class Bundle:
    """A batch as it was packed, with the callbacks that have not been queued. Its members are copied."""

    tally: Tally
    callbacks: Mapping[str, tuple[Outgoing, ...]]


@dataclass(frozen=True, slots=True)
class Crate:
    """What is on its way to the store whose identity is ``target``, in its order."""

    token: str
    target: str
    #: How the target was called when the crate was packed.
    label: str
    parcels: tuple[Parcel, ...] = ()
    letters: tuple[DeadLetter, ...] = ()
    batches: tuple[Bundle, ...] = ()
    effects: tuple[Uncertain, ...] = ()

    @property
    def contents(self) -> str:
        """Say what is in it."""
        kinds = {"job": self.parcels, "dead letter": self.letters, "batch": self.batches, "effect": self.effects}
        counts = [(len(things), name) for name, things in kinds.items() if things]
        return " and ".join(f"{count} {name if count == 1 else _plural(name)}" for count, name in counts) or "nothing"


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
class HeldBatch:
    """A batch that goes to the store whose identity is ``target``, or comes here. ``mark`` changes with it."""

    id: str
    target: str
    label: str
    closed: bool
    cancelled: bool
    mark: str


@dataclass(frozen=True, slots=True)
class Cursors:
    """A job's checkpoints, and the number of the execution that has them."""

    task_id: str
    fence: int
    expires: float
    cursors: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect that is there, with its result."""

    name: str
    owner: str
    result: str
    expires: float


@dataclass(frozen=True, slots=True)
class Running:
    """An effect that somebody causes now; its lease lasts for ``seconds`` unless it is renewed."""

    name: str
    owner: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Belongings:
    """What is copied: everything in it is known by an id."""

    states: tuple[Kept, ...] = ()
    groups: tuple[Group, ...] = ()
    chords: tuple[Chord, ...] = ()
    cancelled: tuple[Cancelled, ...] = ()
    ticks: tuple[Tick, ...] = ()
    #: How members of batches stand, those that have not ended (:data:`PENDING`) included.
    members: tuple[MemberEnd, ...] = ()
    #: Batches of which all has arrived: they are held no longer.
    batches: tuple[HeldBatch, ...] = ()
    checkpoints: tuple[Cursors, ...] = ()
    effects: tuple[Effect, ...] = ()


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
        """Return the packed crate, or pack one for ``target``: batches, else uncertain effects, messages, dead letters.

        None when none of them is left. What a process holds is not packed. A crate that was packed for another one is
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
        """Put the packed crate back to the heads of its queues; return how many messages that were.

        Batches are held no longer, those that came included.
        """

    @abstractmethod
    def chords(self, group_ids: Sequence[str] | None = None) -> Iterator[Belongings]:
        """Give the chords named, or all, some at a time."""

    @abstractmethod
    def members(self, batches: Mapping[str, Sequence[str] | None]) -> Iterator[Belongings]:
        """Give members of batches, those named or with None all, some at a time."""

    @abstractmethod
    def checkpoints(self, task_ids: Sequence[str]) -> Iterator[Belongings]:
        """Give the checkpoints of these jobs."""

    @abstractmethod
    def effects(self) -> Iterator[Belongings]:
        """Give the results of effects, some at a time."""

    @abstractmethod
    def running(self) -> list[Running]:
        """Return the effects that somebody causes now."""

    @abstractmethod
    def held(self) -> list[HeldBatch]:
        """Return the batches that are on their way, from here or to here."""

    @abstractmethod
    def part(self, batches: Sequence[HeldBatch]) -> None:
        """Drop batches that were handed over, but for those of which something was heard since."""

    @abstractmethod
    def belongings(self) -> Iterator[Belongings]:
        """Give everything else that is copied, some at a time."""

    # -- at the target ----------------------------------------------------------------------------------------

    @abstractmethod
    def admit(self, crate: Crate) -> bool:
        """Queue what is in ``crate``, behind what waits, and hold its batches; False if it was admitted before."""

    @abstractmethod
    def keep(self, belongings: Belongings) -> None:
        """Store what is not known here, or is newer than what is; an end is never overwritten by less.

        Callbacks of batches that are held no longer are queued when they are due.
        """


def _plural(name: str) -> str:
    return f"{name}es" if name.endswith("h") else f"{name}s"
