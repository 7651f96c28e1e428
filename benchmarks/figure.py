"""One measured figure and the line it prints."""

from dataclasses import dataclass
from statistics import median

__all__ = ["Figure", "ratio"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure beside what it must reach; without ``first`` it is printed for information.

    ``value`` is None when it could not be measured, and ``note`` says why. ``of`` says what was compared with, where
    that is found only by measuring.
    """

    code: str
    name: str
    value: float | None
    first: float | None = None
    goal: float | None = None
    lower_is_better: bool = False
    note: str = ""
    of: str = ""

    def line(self) -> str:
        """``P5 embedded_drain_vs_huey_sqlite 4.1 first 3 goal 7 ok``."""
        if self.value is None:
            return f"{self.code} {self.name} missing ({self.note})"
        words = [self.code, self.name, _number(self.value)]
        if self.first is not None:
            words += ["first", _number(self.first)]
        if self.goal is not None:
            words += ["goal", _number(self.goal)]
        words += [self.verdict(), *([f"({self.of})"] if self.of else [])]
        return " ".join(words)

    def verdict(self) -> str:
        """``ok``, ``short`` (of *first*), ``info`` or ``missing``; a goal alone is ``ok`` once it is reached."""
        if self.value is None:
            return "missing"
        if self.first is None:
            return "ok" if self.reaches_goal() else "info"
        return "ok" if self._reaches(self.first) else "short"

    def reaches_goal(self) -> bool:
        """Whether the goal is reached too."""
        return self.goal is not None and self._reaches(self.goal)

    def _reaches(self, mark: float) -> bool:
        if self.value is None:
            return False
        return self.value <= mark if self.lower_is_better else self.value >= mark


def ratio(ours: list[float], theirs: list[float]) -> float | None:
    """The median over the rounds of each round's own ratio; None when a side has no round."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=False) if b]
    return median(pairs) if pairs else None


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
