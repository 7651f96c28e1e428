"""What has arrived from the broker and waits for a free slot: of each queue in turn from it and its lanes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from umbel.engine.rabbit_wire import Raw

__all__ = ("Arrivals",)


class Arrivals:
    """Messages by the queue or lane that they came from. Not for several threads at once."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Raw]] = {}
        self._turns: Final = itertools.count(1)
        #: When something was last taken from there: kept also while nothing comes, or who comes first would go first.
        self._last: dict[str, int] = {}

    def add(self, source: str, raw: Raw) -> None:
        """Keep what came from ``source``."""
        self._lines.setdefault(source, deque()).append(raw)

    def take(self, sources: Sequence[str], limit: int) -> list[Raw]:
        """Return up to ``limit`` messages, from each of ``sources`` in turn."""
        found: list[Raw] = []
        waiting = [name for name in sources if self._lines.get(name)]
        while waiting and len(found) < limit:
            name = min(waiting, key=self._turn)
            self._last[name] = next(self._turns)
            line = self._lines[name]
            found.append(line.popleft())
            if not line:
                waiting.remove(name)
        return found

    def in_turn(self, sources: Iterable[str]) -> list[str]:
        """Return ``sources``, whose turn is next first."""
        return sorted(sources, key=self._turn)

    def _turn(self, source: str) -> int:
        return self._last.get(source, 0)

    def drop(self, sources: Collection[str], which: Callable[[Raw], bool] = lambda _: True) -> list[Raw]:
        """Return those of what came from ``sources``, and keep it no longer."""
        found: list[Raw] = []
        for name in sources:
            line = self._lines.pop(name, None) or ()
            found += [raw for raw in line if which(raw)]
            kept = deque(raw for raw in line if not which(raw))
            if kept:
                self._lines[name] = kept
        return found

    def sources(self) -> set[str]:
        """Return where something is here from."""
        return set(self._lines)

    def clear(self) -> None:
        """Forget everything that is here."""
        self._lines.clear()

    def __bool__(self) -> bool:
        return any(self._lines.values())
