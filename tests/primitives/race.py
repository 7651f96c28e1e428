"""What a race is: racers on one store who all want the same, what each tells, and who judges.

Racers are threads of one process, or processes of their own, some of which are killed in the middle. What they tell
stands in one file in the order in which it was told: each line is one write.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from tests.primitives.stores import Store

__all__ = ("Heat", "Race", "Racer", "Told", "read")


@dataclass(frozen=True, slots=True)
class Told:
    """One line: by whom, and his words."""

    by: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """One turn of a race, as its judge sees it. ``name`` is that of what was raced for, a new one each time."""

    name: str
    told: Sequence[Told]
    racers: Set[str]
    #: Those of the racers who were killed in it.
    killed: Set[str] = frozenset()

    def words(self, kind: str) -> list[tuple[str, ...]]:
        """Return what was told by lines that begin with ``kind``, without that word, in order."""
        return [told.words[1:] for told in self.told if told.words[0] == kind]

    def by(self, kind: str) -> list[str]:
        """Return who told lines that begin with ``kind``, in order."""
        return [told.by for told in self.told if told.words[0] == kind]


class Racer:
    """One who takes part."""

    def __init__(self, name: str, log: Path) -> None:
        self.name: Final = name
        self._log: Final = log

    def tell(self, *words: object) -> None:
        """Tell something: words without spaces."""
        line = " ".join(map(str, (self.name, *words))) + "\n"
        fd = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)


class Race(ABC):
    """One promise under a race. Another one is a class in ``races.py``; it needs no more than this."""

    #: As it is called for, and shown.
    name: ClassVar[str]

    def prepare(self, store: Store, heat: str) -> None:
        """Make what is raced for, before anybody runs."""
        return

    @abstractmethod
    def run(self, store: Store, heat: str, racer: Racer) -> None:
        """Do what each racer does, all at about the same time. It is killed anywhere in here."""

    @abstractmethod
    def judge(self, store: Store, heat: Heat) -> Iterator[str]:
        """Give what has broken the promise, as sentences."""


def read(log: Path) -> list[Told]:
    """Return what was told, in order."""
    if not log.exists():
        return []
    lines = (line.split() for line in log.read_text().splitlines())
    return [Told(by, tuple(words)) for by, *words in lines]
