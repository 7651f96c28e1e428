"""Where a campaign takes place: a store, its URL for workers and dispatchers, and a look at it for the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.chaos.observer import Observer
from tests.chaos.store_view import Held, StoreView
from umbel.engine.sqlite import SQLiteEngine

__all__ = ("EmbeddedSite", "Site", "View")


class View(Protocol):
    """What the harness asks of a store."""

    def held_by(self, pid: int) -> list[Held]:
        """Return the messages that process ``pid`` holds now."""

    def waiting(self) -> int:
        """Return how many messages there are, leased and delayed ones included."""

    def dead(self) -> list[tuple[str, str]]:
        """Return (task id, reason) of every dead letter."""

    def states(self) -> dict[str, int]:
        """Return how many jobs are in each state."""

    def integrity(self) -> str:
        """Return ``ok``, or what is wrong with the store."""


class Site(Protocol):
    """A store that a campaign has for itself."""

    @property
    def broker(self) -> str:
        """The URL."""

    @property
    def view(self) -> View:
        """The look at it."""

    def observe(self) -> Observer:
        """Begin to see every state that is written; the store has been opened by then."""

    def close(self) -> None:
        """End it."""


class EmbeddedSite:
    """One SQLite file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "chaos.db"
        self.broker = f"sqlite:///{self._path}"
        self.view = StoreView(self._path)
        engine = SQLiteEngine(self._path)
        engine.check()
        engine.close()

    def observe(self) -> Observer:
        """Begin to see every state that is written; the store has been opened by then."""
        return Observer(self._path)

    def close(self) -> None:
        """Nothing: it is a file."""
