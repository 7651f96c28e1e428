"""The recorder beside the supervisor of ``umbel worker``: a process of its own, kept running.

The supervisor imports neither SQLAlchemy nor the application, and its own work (renewing leases) must not wait for a
database. So recording is done by ``python -m umbel.monitor``, which begins when a worker has told where the history is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any, Final

__all__ = ("RecorderCompanion",)

logger = logging.getLogger(__name__)

_STOP_SECONDS: Final = 5.0
#: Between the ends of one process and the start of the next one.
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_NEEDED: Final = ("alembic", "sqlalchemy")
#: Exit codes that mean that starting again cannot help: what is wrong is in the configuration.
_HOPELESS: Final = frozenset({78})


class RecorderCompanion:
    """What the supervisor tells of its workers, and ends."""

    def __init__(self, loglevel: str = "INFO") -> None:
        self._loglevel = loglevel
        self._told: dict[str, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take note of what a worker process said."""
        self._told.update({key: message[key] for key in ("url", "engine", "history", "alerts") if key in message})
        if self._thread is None and self._told.get("history") and self._told.get("url"):
            if not all(map(importlib.util.find_spec, _NEEDED)):
                logger.info("There is no history of jobs: pip install 'umbel[sqlalchemy]', or set UMBEL_HISTORY=0.")
                self._told["history"] = None
                return
            self._thread = threading.Thread(target=self._keep, name="umbel-recorder", daemon=True)
            self._thread.start()

    def _keep(self) -> None:
        for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
            code = self._run()
            if self._stop.is_set() or code in _HOPELESS:
                return
            logger.warning("The recorder of the history ended with %d; starting another one.", code)
            if self._stop.wait(pause):
                return

    def _run(self) -> int:
        # What is said may hold passwords: it is no argument, which anybody may read. That this pipe ends tells the
        # recorder that the supervisor is gone.
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "umbel.monitor"], stdin=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None
        with process.stdin as pipe, contextlib.suppress(BrokenPipeError):
            pipe.write(json.dumps({**self._told, "loglevel": self._loglevel}).encode() + b"\n")
            pipe.flush()
            if self._stop.is_set():
                process.terminate()
            return process.wait()
        return process.wait()

    def stop(self) -> None:
        """End the recorder; what it has not written the next one writes."""
        self._stop.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            if process.poll() is None:
                process.kill()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
