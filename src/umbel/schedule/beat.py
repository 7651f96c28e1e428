"""Celery's beat, safe for two instances: one leads, the others wait, and no tick is sent twice or forgotten.

The leader holds a kernel lock beside the store, so that another one takes over as soon as it is dead. On the
embedded engine a tick's message and the fact that it has run are written in one step: a scheduler that is killed
sends the tick either before its death or, the next one, after it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from celery import beat

from umbel.engine.execution import publishing_into
from umbel.engine.lease import KernelLock
from umbel.engine.registry import is_embedded, sqlite_path
from umbel.engine.store import Outgoing
from umbel.settings import data_directory

__all__ = ("LeaderScheduler",)

logger = logging.getLogger(__name__)

_STANDBY_SECONDS: Final = 1.0


class LeaderScheduler(beat.Scheduler):
    """Celery's scheduler, with a leader and a durable memory of the last runs."""

    def __init__(self, app: Any, *args: Any, lazy: bool = False, **kwargs: Any) -> None:
        self._lock = KernelLock(_lock_path(app))
        self._leads = False
        self._told = False
        super().__init__(app, *args, lazy=lazy, **kwargs)

    def setup_schedule(self) -> None:
        """Take the entries from the configuration."""
        self.install_default_entries(self.data)
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due, if this instance leads; return the seconds until the next look."""
        if not self._leads:
            self._leads = self._lock.acquire()
            if not self._leads:
                if not self._told:
                    self._told = True
                    logger.info("Another scheduler leads; this one takes over when it ends.")
                return _STANDBY_SECONDS
            logger.info("This scheduler leads.")
            self._remember()
        return super().tick(*args, **kwargs)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send one due entry, together with the note that it has run."""
        if not is_embedded(self.app.conf.broker_url):
            super().apply_entry(entry, producer)
            return
        messages: list[Outgoing] = []
        with publishing_into(messages):
            super().apply_entry(entry, producer)
        ran = self.schedule[entry.name]
        self.app.engine.tick(messages, entry.name, ran.last_run_at.timestamp(), ran.total_run_count)

    def close(self) -> None:
        """Let another instance lead."""
        super().close()
        self._lock.close()
        self._leads = False

    def _remember(self) -> None:
        if not is_embedded(self.app.conf.broker_url):
            return
        runs: Mapping[str, tuple[float, int]] = self.app.engine.last_ticks()
        for name, entry in self.schedule.items():
            if name in runs:
                last_run, count = runs[name]
                entry.last_run_at = datetime.fromtimestamp(last_run, UTC).astimezone(self.app.timezone)
                entry.total_run_count = count
        self._heap = None


def _lock_path(app: Any) -> Path:
    url = str(app.conf.broker_url)
    path = sqlite_path(url) if is_embedded(url) else data_directory(app.settings) / "beat"
    folder = path.with_name(path.name + ".run")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / "beat.lock"
