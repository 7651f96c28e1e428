"""The history of a command's application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umbel.errors import ConfigurationError

if TYPE_CHECKING:
    from umbel import Umbel
    from umbel.monitor.history import History

__all__ = ("history_of",)


def history_of(app: Umbel) -> History:
    """Return the history of ``app``. Raises :exc:`ConfigurationError` where there can be none."""
    if not app.settings.history:
        raise ConfigurationError("There is no history: UMBEL_HISTORY is off, and workers record nothing.")
    return app.history
