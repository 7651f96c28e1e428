"""How a fetch is divided among queues: in strict order, or by weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ("Shares",)


class Shares:
    """Divides fetches by weight over time: what a queue takes is charged to it, and it earns by its weight."""

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def split(self, queues: Mapping[str, int], limit: int) -> Iterator[tuple[str, int]]:
        """Yield (queue, at most so many) in order. ``queues`` are those with something waiting.

        All weights 0: every queue may take everything, first come first served. Otherwise each gets its part of
        ``limit``, the one that is owed most first, and then, in the same order, whatever the others have left.
        """
        if len(queues) < 2 or not any(queues.values()):
            for name in queues:
                yield name, limit
            return
        whole = sum(max(weight, 1) for weight in queues.values())
        for name, weight in queues.items():
            earned = self._credit.get(name, 0.0) + limit * max(weight, 1) / whole
            # A queue that was empty saves nothing up, and one that took what others left is not ruined.
            self._credit[name] = min(max(earned, -float(limit * whole)), float(limit * whole))
        order = sorted(queues, key=lambda name: (-self._credit[name], -queues[name]))
        for name in order:
            yield name, max(0, round(self._credit[name]))
        for name in order:
            yield name, limit

    def spent(self, name: str, taken: int) -> None:
        """Charge what queue ``name`` has given."""
        if name in self._credit:
            self._credit[name] -= taken
