"""Limits: to change while jobs run, for the whole fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from umbel.errors import ConfigurationError, OperationError, UnknownName
from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations.desk import Desk

__all__ = ("LimitOperations",)


class LimitOperations:
    """``jobs.operations.limits``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk

    def change(self, name: str, rate: str, *, burst: int = 0, by: Actor) -> Outcome:
        """Let ``rate`` hold: ``100/m``, a number of slots, or ``none`` to lift it. See :meth:`LimitBook.change`.

        Raises :exc:`OperationError` for what is no rate, or no limit.
        """
        with self._desk.action(by, "limit.change", name, rate=rate, burst=burst):
            try:
                self._app.limits.change(name, rate, burst=burst)
            except ConfigurationError as error:
                raise OperationError(str(error)) from error
        return Outcome(text=f"{name!r} is limited to {rate} now, until it is reset.", target=name)

    def reset(self, name: str, *, by: Actor) -> Outcome:
        """Let what is declared hold again. Raises :exc:`UnknownName`."""
        with self._desk.action(by, "limit.reset", name):
            if name not in {one.name for one in self._app.limits.status()}:
                raise UnknownName("limit", name)
            self._app.limits.reset(name)
        return Outcome(text=f"{name!r} is as it is declared.", target=name)
