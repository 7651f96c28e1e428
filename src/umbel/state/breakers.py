"""Circuit breakers by name: what stands behind ``Breaker`` and ``Umbel.breaker`` (C29).

Closed, it counts failures in a window of time. After too many it is open: nobody passes. Then one passes as a probe,
whose end closes or opens it (M. Nygard, *Release It!*, 2007). Times are the store's. Costs: one round trip to pass, or
to look at any number, and one more for a failure or a probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ("Breakers", "Pass", "Threshold")


@dataclass(frozen=True, slots=True)
class Threshold:
    """After how many ``failures`` within how many seconds a breaker is open, and for how many."""

    failures: int
    within: float
    open_for: float


@dataclass(frozen=True, slots=True)
class Pass:
    """The answer to :meth:`Breakers.enter`: for how many seconds to wait, 0.0 to go on; and whether as the probe."""

    wait: float
    probing: bool = False


class Breakers(Protocol):
    """The breakers of one store."""

    def enter(self, name: str, owner: str, probe_seconds: float) -> Pass:
        """Ask whether ``owner`` may go on. A probe that says nothing for ``probe_seconds`` is given up."""

    def look(self, names: Sequence[str]) -> list[float | None]:
        """Return for how many seconds nobody passes each of these; 0.0 for a closed one, None where a probe may pass.

        Nothing is changed by it: whoever is to be the probe enters.
        """

    def failed(self, name: str, owner: str, threshold: Threshold) -> bool:
        """Count a failure; return whether the breaker is open now. A probe's opens it again."""

    def succeeded(self, name: str, owner: str) -> None:
        """Close the breaker, if ``owner`` is its probe."""

    def opens_in(self, name: str) -> float:
        """Return for how many seconds nobody passes; 0.0 for a breaker that is closed, or lets a probe pass."""
