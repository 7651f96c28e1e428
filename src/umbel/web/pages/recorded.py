"""Whether there is a history to show, and whether it can be read now."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from umbel.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.history import History

__all__ = ("Recorded", "recorded", "recorded_now")

logger = logging.getLogger("umbel.web")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The history, or why there is none to read just now; neither where workers record nothing."""

    history: History | None = None
    trouble: str | None = None


def recorded(app: Umbel) -> History | None:
    """Return the history of ``app``; None where workers record nothing."""
    return app.history if app.settings.history else None


def recorded_now(app: Umbel) -> Recorded:
    """Return the history if it answers: pages that show what is live are there without it too."""
    try:
        history = recorded(app)
        if history is not None:
            history.position()
    except (StoreError, ConfigurationError) as error:
        logger.warning("A page is shown without the history: %s", error)
        return Recorded(trouble=str(error))
    return Recorded(history)
