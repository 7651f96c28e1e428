"""The pages that the navigation leads to, in their order; those that the site does not have are left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ("PAGES", "Page", "navigation")


@dataclass(frozen=True, slots=True)
class Page:
    """One entry. Where ``group`` changes, a line is drawn."""

    path: str
    name: str
    group: str

    def holds(self, path: str) -> bool:
        """Whether ``path`` is this page, or one below it."""
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


PAGES: Final = (
    Page("/", "Overview", "overview"),
    Page("/jobs", "Jobs", "jobs"),
    Page("/failures", "Failures", "jobs"),
    Page("/dead", "Dead letters", "jobs"),
    Page("/batches", "Batches", "jobs"),
    Page("/queues", "Queues", "engine"),
    Page("/workers", "Workers", "engine"),
    Page("/schedules", "Schedules", "engine"),
    Page("/tasks", "Tasks", "engine"),
    Page("/alerts", "Alerts", "watch"),
    Page("/audit", "Audit log", "watch"),
)


def navigation(paths: Iterable[str]) -> tuple[Page, ...]:
    """Return the entries whose pages are among ``paths``."""
    known = frozenset(paths)
    return tuple(page for page in PAGES if page.path in known)
