"""The part of an application that limits how often, and how many at a time, jobs and other code run."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from umbel.durations import duration
from umbel.jobs.claims import ClaimBook
from umbel.jobs.limit_block import LimitBlock
from umbel.jobs.limit_book import LimitBook
from umbel.jobs.limits import limit_of
from umbel.jobs.locks import Keeper
from umbel.state.slots import Slots

__all__ = ("WithLimits",)


class WithLimits:
    """A part of :class:`umbel.Umbel`."""

    @cached_property
    def limits(self) -> LimitBook:
        """The limits of all jobs: to see, and to change for the whole fleet while it runs."""
        return LimitBook(self)

    @cached_property
    def slot_keeper(self) -> Keeper[Slots]:
        """Renews the slots that this process holds."""
        app: Any = self
        return Keeper(lambda: app.engine.slots, "slot")

    @cached_property
    def claims(self) -> ClaimBook:
        """Asks for what jobs need before they begin, a batch at a time."""
        return ClaimBook(self)

    def limit(self, name: str, *limits: Any, wait: object = 0) -> LimitBlock:
        """Return a block under limits that the fleet shares by ``name``, for ``with`` or ``async with``.

            with jobs.limit("smtp", "100/m", Concurrency(5), wait="10s"):
                ...

        ``limits``: rates as text, or what a task declares. ``wait``: for how long to wait until it may begin; then
        :exc:`LimitReached`. Raises :exc:`ConfigurationError` and :exc:`ValueError`.
        """
        found = [limit_of(one, f"jobs.limit({name!r})") for one in limits]
        return LimitBlock(self, name, found, duration(wait).total_seconds())
