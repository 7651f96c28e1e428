"""Whether there is a history to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.history import History

__all__ = ("recorded",)


def recorded(app: Umbel) -> History | None:
    """Return the history of ``app``; None where workers record nothing."""
    return app.history if app.settings.history else None
