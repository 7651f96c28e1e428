"""What the promises of jobs stand on, in the embedded engine's own file: keys, locks, breakers, effects, limits."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from umbel.engine.sqlite_batches import BatchTable
from umbel.engine.sqlite_breakers import BreakerTable
from umbel.engine.sqlite_checkpoints import CheckpointTable
from umbel.engine.sqlite_effects import EffectTable
from umbel.engine.sqlite_events import EventTable
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.sqlite_limits import LimitTable
from umbel.engine.sqlite_locks import LockTable
from umbel.engine.sqlite_schedule import SQLiteSchedule
from umbel.engine.sqlite_slots import SlotTable
from umbel.engine.sqlite_uniques import UniqueTable
from umbel.engine.store import Outgoing

__all__ = ("SQLitePrimitives",)

_SWEEP_ROWS: Final = 2000


class SQLitePrimitives(SQLiteSchedule):
    """The part of the embedded engine that jobs' declarations ask."""

    file: StoreFile

    @cached_property
    def uniques(self) -> UniqueTable:  # type: ignore[override]
        """The keys that one job has at a time."""
        return UniqueTable(self.file, self._row, self._ring_all)

    @cached_property
    def locks(self) -> LockTable:  # type: ignore[override]
        """Locks by name."""
        return LockTable(self.file, self._ring_due)

    @cached_property
    def breakers(self) -> BreakerTable:  # type: ignore[override]
        """Circuit breakers by name."""
        return BreakerTable(self.file)

    @cached_property
    def batches(self) -> BatchTable:  # type: ignore[override]
        """Jobs that are counted together."""
        return BatchTable(self.file, self._row, self._ring_all)

    @cached_property
    def checkpoints(self) -> CheckpointTable:  # type: ignore[override]
        """How far jobs' iterators are."""
        return CheckpointTable(self.file)

    @cached_property
    def effects(self) -> EffectTable:  # type: ignore[override]
        """Effects by key."""
        return EffectTable(self.file)

    @cached_property
    def limits(self) -> LimitTable:  # type: ignore[override]
        """When jobs may start."""
        return LimitTable(self.file, self._ring_due)

    @cached_property
    def slots(self) -> SlotTable:  # type: ignore[override]
        """Slots that several share."""
        return SlotTable(self.file, self._ring_due)

    @cached_property
    def events(self) -> EventTable:  # type: ignore[override]
        """What happened to jobs."""
        return EventTable(self.file)

    def sweep_primitives(self) -> None:
        """Drop what has ended."""
        self.uniques.sweep(_SWEEP_ROWS)
        self.locks.sweep()
        self.breakers.sweep()
        self.batches.sweep()
        self.checkpoints.sweep()
        self.effects.sweep()
        self.limits.sweep()
        self.slots.sweep()

    @abstractmethod
    def _row(self, connection: sqlite3.Connection, message: Outgoing, now: float) -> tuple[Any, ...]: ...

    @abstractmethod
    def _ring_all(self, messages: Sequence[Outgoing]) -> None: ...

    @abstractmethod
    def _ring_due(self) -> None: ...
