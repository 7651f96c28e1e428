"""Alerts: to say that somebody looks after one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from umbel.errors import UnknownName
from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations.desk import Desk

__all__ = ("AlertOperations",)


class AlertOperations:
    """``jobs.operations.alerts``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk

    def acknowledge(self, number: int, *, by: Actor, name: str | None = None) -> Outcome:
        """Note that ``by`` looks after an alert, or ``name``; who was first stays. Raises :exc:`UnknownName`."""
        with self._desk.action(by, "alert.acknowledge", str(number), **({"for": name} if name else {})):
            found = self._app.history.incidents.acknowledge(number, name or by.name)
            if found is None:
                raise UnknownName("alert", str(number))
        return Outcome(text=f"{found.acknowledged_by} looks after alert {number}.", target=str(number))
