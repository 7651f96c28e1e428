"""The relay inside the supervisor of ``umbel worker``: a thread that begins when a worker has told which database.

The supervisor imports no application and stays small: without a database nothing of this is loaded but this file.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from umbel.errors import ConfigurationError

__all__ = ("RelayCompanion",)

logger = logging.getLogger(__name__)

_STOP_SECONDS: Final = 5.0


class RelayCompanion:
    """What the supervisor tells of its workers, and ends."""

    def __init__(self) -> None:
        self._told: dict[str, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take note of what a worker process said."""
        self._told.update({key: message[key] for key in ("url", "engine", "outbox") if key in message})
        outbox = self._told.get("outbox")
        if self._thread is None and outbox and self._told.get("url"):
            self._thread = threading.Thread(target=self._run, args=(outbox,), name="umbel-relay", daemon=True)
            self._thread.start()

    def _run(self, outbox: Mapping[str, str]) -> None:
        from umbel.engine.registry import is_served, open_engine

        if not is_served(self._told["url"]):
            return
        try:
            from umbel.jobs.outbox_relay import Relay, run_relay

            relay = Relay(
                outbox["database"], outbox["app"], lambda: open_engine(self._told["url"], **self._told["engine"])
            )
        except ImportError:
            logger.debug("There is a database but no SQLAlchemy, so there is no outbox to relay.")
        except ConfigurationError as error:
            logger.info("There is no outbox to relay: %s", error)
        else:
            run_relay(relay, self._stop)

    def stop(self) -> None:
        """End the relay; what it does not finish the next one does."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
