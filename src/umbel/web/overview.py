"""What the status page shows, read from the engine in one pass and kept for a second, however many look."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.store import DeadLetter, QueueStatus, WorkerStatus

__all__ = ("DEAD_LETTERS", "KEPT", "Overview", "Reader")

#: The newest dead letters that are shown.
DEAD_LETTERS: Final = 20
#: Seconds that one reading is shown.
KEPT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Overview:
    """Queues, workers and the newest dead letters at ``taken`` (unix seconds)."""

    queues: tuple[QueueStatus, ...]
    workers: tuple[WorkerStatus, ...]
    dead: tuple[DeadLetter, ...]
    #: There are more dead letters than are shown.
    more_dead: bool
    taken: float

    @property
    def ready(self) -> int:
        """Jobs that could start now."""
        return sum(queue.ready for queue in self.queues)

    @property
    def delayed(self) -> int:
        """Jobs for later."""
        return sum(queue.delayed for queue in self.queues)

    @property
    def leased(self) -> int:
        """Jobs that a worker holds."""
        return sum(queue.leased for queue in self.queues)

    @property
    def unserved(self) -> tuple[QueueStatus, ...]:
        """Queues that no worker consumes (C4)."""
        return tuple(queue for queue in self.queues if queue.consumers == 0)


class Reader:
    """Reads overviews, one at a time; blocks for as long as the store takes."""

    def __init__(self, app: Umbel) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._last: Overview | None = None
        self._expires = 0.0

    def overview(self) -> Overview:
        """Return an overview that is at most ``KEPT`` seconds old."""
        with self._lock:
            if self._last is None or time.monotonic() >= self._expires:
                self._last = self._read()
                self._expires = time.monotonic() + KEPT
            return self._last

    def _read(self) -> Overview:
        engine = self._app.engine
        # Queues without a consumer come first: they are what somebody must do something about.
        queues = sorted(engine.queues(), key=lambda queue: (queue.consumers > 0, queue.name))
        workers = sorted(engine.workers(), key=lambda worker: (worker.hostname, worker.pid))
        dead = engine.dead(DEAD_LETTERS + 1)
        return Overview(
            tuple(queues), tuple(workers), tuple(dead[:DEAD_LETTERS]), len(dead) > DEAD_LETTERS, time.time()
        )
