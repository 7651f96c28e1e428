"""What is done now and then beside a worker's own threads, and must not hold them up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from umbel.errors import StoreError

__all__ = ("Aside",)

logger = logging.getLogger(__name__)


class Aside:
    """Calls ``call`` in a thread of its own, unless it still does so from the last time."""

    def __init__(self, what: str, call: Callable[[], object]) -> None:
        """``what`` is done, as it stands in the log when it could not be."""
        self._what: Final = what
        self._call: Final = call
        self._thread: threading.Thread | None = None

    def __call__(self) -> None:
        """Begin, and do not wait."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="umbel-aside", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except StoreError as error:
            logger.warning("%s could not be looked after, and will be in a minute: %s", self._what, error)
        except Exception:
            logger.exception("%s could not be looked after, and will be in a minute.", self._what)
