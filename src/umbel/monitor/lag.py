"""How far behind the history is: how long ago the oldest event was told that has not been written down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from umbel.state.events import Ends

if TYPE_CHECKING:
    from umbel.state.events import EventLog

__all__ = ("lag",)


def lag(log: EventLog) -> float:
    """Return it in seconds; 0 where nothing waits to be written. Costs one read. Raises :exc:`StoreError`."""
    first = log.read(1)
    if first is None or not first.events:
        return 0.0
    event = first.events[0]
    # What runs still has not ended.
    told = next((one.ended or one.started for one in event.ends if one), None) if isinstance(event, Ends) else event.at
    return max(0.0, time.time() - told) if told else 0.0
