"""``Retry-After`` as HTTP says it (RFC 9110, section 10.2.3): seconds, or a date. Pure.

What the other side asks for is bounded: a header of a million seconds is no reason to forget a job.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

__all__ = ("LONGEST", "retry_after")

#: The longest wait that the other side can ask for.
LONGEST: Final = timedelta(days=1)

_SECONDS: Final = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)
_TEXT_MOST: Final = 100


def retry_after(value: Any, *, now: Callable[[], float] = time.time) -> timedelta | None:
    """Return how long the header's ``value`` asks to wait, from 0 to a day; None if it says nothing that can be read.

    A date in the past is no wait. ``now`` is a clock in unix seconds.
    """
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str) or len(value) > _TEXT_MOST:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=min(float(text), LONGEST.total_seconds()))
    try:
        moment = parsedate_to_datetime(text)
        seconds = _aware(moment).timestamp() - now()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return timedelta(seconds=max(0.0, min(seconds, LONGEST.total_seconds())))


def _aware(moment: datetime) -> datetime:
    # The old forms of the date carry no zone, and mean GMT.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
