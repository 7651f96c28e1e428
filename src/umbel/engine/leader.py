"""Who of several schedulers works: one leads, the others wait until it is gone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from umbel.engine.lease import KernelLock

__all__ = ("KernelLeader", "Leader")


class Leader(ABC):
    """This process's candidacy."""

    #: What the store knows this leader by while it leads; a later leader has another one.
    term: str = ""

    @abstractmethod
    def leads(self) -> bool:
        """Whether this process leads now. To be asked every second or two, which keeps it so."""

    @abstractmethod
    def resign(self) -> None:
        """Let another one lead."""


class KernelLeader(Leader):
    """Leads while it holds a file's lock: no other can believe that it leads, and its death is seen at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = KernelLock(path)
        self._leads = False

    def leads(self) -> bool:
        self._leads = self._leads or self._lock.acquire()
        return self._leads

    def resign(self) -> None:
        self._leads = False
        self._lock.close()
