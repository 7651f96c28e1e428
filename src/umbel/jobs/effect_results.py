"""The results of effects as they are stored: as JSON, protected as all other results are."""

from __future__ import annotations

import logging
from typing import Any, Final

from kombu.utils.json import dumps, loads

from umbel.engine.protection import Protection

__all__ = ("decoded", "encoded")

logger = logging.getLogger(__name__)

#: A result that is larger is not stored: a reference to it is what others need.
_RESULT_MOST: Final = 262_144


def encoded(protection: Protection, name: str, result: Any) -> str:
    """Return a result as it is stored: null for one that cannot be, which is said."""
    try:
        text = dumps(result)
        if len(text) > _RESULT_MOST:
            raise ValueError(f"it takes {len(text):,} bytes")
    except (TypeError, ValueError) as error:
        logger.error("The result of the effect %r is not kept (%s): let it be a reference.", name, error)
        text = "null"
    kept = protection.part(f"effect:{name}", text)
    return kept if isinstance(kept, str) else kept.decode()


def decoded(protection: Protection, name: str, text: str) -> Any:
    """Return a result as it was. Raises :exc:`PayloadRefused`."""
    return loads(protection.open_part(f"effect:{name}", text))
