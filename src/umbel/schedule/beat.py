"""Celery's beat, safe for any number of instances: one leads, the others wait, and no tick is sent twice or forgotten.

On the embedded engine the leader holds a kernel lock beside the file, so that another one takes over as soon as it is
dead. On Redis it is elected at the server, by its beat: another one takes over within ten seconds of its death, on
whichever host, and what a stopped leader sends when it goes on is refused. On both a tick's message and the fact
that it has run are written in one step: a scheduler that is killed sends the tick either before its death or, the next
one, after it. With other brokers the lock is the host's, and Celery's own sending stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from celery import beat

from umbel.engine.collecting import publishing_into
from umbel.engine.execution import patiently
from umbel.engine.leader import KernelLeader, Leader
from umbel.engine.registry import is_served
from umbel.engine.store import Outgoing
from umbel.errors import StoreError
from umbel.schedule.leading import Presence
from umbel.settings import data_directory

__all__ = ("LeaderScheduler",)

logger = logging.getLogger(__name__)

#: How often the leader says that it lives, and the others look.
_LOOK_SECONDS: Final = 1.0


class _Superseded(Exception):
    """Another scheduler leads by now."""


class LeaderScheduler(beat.Scheduler):
    """Celery's scheduler, with a leader and a durable memory of the last runs."""

    def __init__(self, app: Any, *args: Any, lazy: bool = False, **kwargs: Any) -> None:
        self._leader = _leader(app)
        self._presence: Presence | None = None
        self._leads = False
        self._looked = 0.0
        self._told = False
        super().__init__(app, *args, lazy=lazy, **kwargs)

    def setup_schedule(self) -> None:
        """Take the entries from the configuration."""
        self.install_default_entries(self.data)
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due, if this instance leads; return the seconds until the next look."""
        try:
            if self._look():
                return min(super().tick(*args, **kwargs), _LOOK_SECONDS)
        except _Superseded:
            logger.warning("Another scheduler leads by now: this one was silent for too long.")
            self._leads, self._told = False, True
        except StoreError as error:
            logger.error("The scheduler cannot send for now: %s", error)
        return _LOOK_SECONDS

    def _look(self) -> bool:
        if self._leads and time.monotonic() - self._looked < _LOOK_SECONDS:
            return True
        led, self._leads = self._leads, False
        leads = self._leader.leads()
        self._looked = time.monotonic()
        if leads and not led:
            logger.info("This scheduler leads.")
            self._presence = _presence(self.app)
            self._remember()
        elif led and not leads:
            raise _Superseded
        elif not leads and not self._told:
            self._told = True
            logger.info("Another scheduler leads; this one takes over when it ends.")
        self._leads = leads
        if leads and self._presence is not None:
            self._presence.tell()
        return leads

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send one due entry, together with the note that it has run."""
        if not is_served(self.app.conf.broker_url):
            super().apply_entry(entry, producer)
            return
        messages: list[Outgoing] = []
        # Celery would log an error here, and count the entry as run.
        with publishing_into(messages), patiently():
            super().apply_entry(entry, producer)
        ran = self.schedule[entry.name]
        last_run = ran.last_run_at.timestamp()
        try:
            if not self.app.engine.tick(self._leader, messages, self._key(entry.name), last_run, ran.total_run_count):
                raise _Superseded
        except (StoreError, _Superseded):
            # It has not run, or nobody knows: it is due still, and known again by its number.
            self.schedule[entry.name] = entry
            self._heap = None
            raise

    def _key(self, name: str) -> str:
        # Several applications may share a store.
        return f"{self.app.main or ''}/{name}"

    def close(self) -> None:
        """Let another instance lead."""
        super().close()
        self._leads = False
        try:
            self._leader.resign()
            if self._presence is not None:
                self._presence.leave()
        except StoreError as error:
            logger.warning("The other schedulers must find out by themselves that this one ends: %s", error)

    def _remember(self) -> None:
        if not is_served(self.app.conf.broker_url):
            return
        runs: Mapping[str, tuple[float, int]] = self.app.engine.last_ticks()
        for name, entry in self.schedule.items():
            if self._key(name) in runs:
                last_run, count = runs[self._key(name)]
                entry.last_run_at = datetime.fromtimestamp(last_run, UTC).astimezone(self.app.timezone)
                entry.total_run_count = count
        self._heap = None


def _leader(app: Any) -> Leader:
    if is_served(app.conf.broker_url):
        leader: Leader = app.engine.leader(app.main or "")
        return leader
    return KernelLeader(data_directory(app.settings) / "beat.run" / "beat.lock")


def _presence(app: Any) -> Presence | None:
    return Presence(app.engine.locks, app.main or "") if is_served(app.conf.broker_url) else None
