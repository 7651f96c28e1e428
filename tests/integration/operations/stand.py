"""An application, its store and its history in this process, with a worker and a recorder that a test moves by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from umbel import JobState, Umbel
from umbel.engine.burial import letter_of, replayed_key
from umbel.engine.envelope import headers_of
from umbel.engine.keyring import Keyring
from umbel.engine.store import Delivery, Record, ReplayEnd, Settled
from umbel.monitor.actors import Actor, Role
from umbel.monitor.audit import AuditEntry
from umbel.monitor.job_filter import JobFilter
from umbel.monitor.recorder import Recorder
from umbel.settings import Settings
from umbel.state.events import Ended

__all__ = ("ANN", "QUEUE", "SECRET", "VERA", "Stand", "failed", "waiting")

ANN = Actor("ann", Role.OPERATOR, "token")
VERA = Actor("vera", Role.VIEWER, "token")
#: What a sensitive argument is in these tests.
SECRET = "4111-1111-1111-1111"
QUEUE = "celery"
_KEY = Keyring.fresh("k")


def failed(**more: Any) -> JobFilter:
    return JobFilter(states=frozenset({JobState.FAILED}), **more)


def waiting(**more: Any) -> JobFilter:
    return JobFilter(states=frozenset({JobState.QUEUED}), **more)


class Stand:
    """``url`` names the broker; without one it is embedded."""

    def __init__(self, folder: Path, url: str | None = None, **settings: Any) -> None:
        known = {"history_url": f"sqlite:///{folder / 'history.db'}", "data_dir": folder, "payload_keys": _KEY}
        self.app = Umbel("shop", broker=url, settings=Settings.load(**(known | settings)), set_as_current=False)
        self._declare()
        self.app.conf.beat_schedule = {
            "nightly": {"task": "shop.add", "schedule": 3600.0, "args": (1, 2), "options": {"queue": QUEUE}}
        }
        self.engine = self.app.engine
        self.engine.open_lease("w1@here", [QUEUE], 100)
        self.engine.events.introduce("w1@here", "v1")
        self.engine.events.expect()
        self.recorder = Recorder(self.engine, self.app.history)
        self.record()

    def _declare(self) -> None:
        @self.app.task(name="shop.add", shared=False)
        def add(x: int, y: int = 0) -> int:
            return x + y

        @self.app.task(name="shop.charge", shared=False, sensitive=("card",))
        def charge(amount: int, card: str) -> None:
            """Take money."""

        self.add, self.charge = add, charge

    def close(self) -> None:
        self.app.close_databases()
        self.engine.close()
        self.app.close()

    # -- what goes on -----------------------------------------------------------------------------------------

    def record(self) -> None:
        """Write down what has been told."""
        while self.recorder.step():
            pass

    def put(self, *ids: str, task: Any = None, **options: Any) -> None:
        """Queue jobs, and record that."""
        for place, one in enumerate(ids):
            (task or self.add).apply_async((place, 1), task_id=one, **options)
        self.record()

    def take(self, limit: int = 1000) -> list[Delivery]:
        return self.engine.fetch({QUEUE: 0}, limit)

    def end(self, delivery: Delivery, *, fails: bool = False, **told_too: Any) -> None:
        """Let a job that was taken end."""
        task_id = str(delivery.task_id)
        state = "FAILURE" if fails else "SUCCESS"
        error = {"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"}
        document = json.dumps({"status": state, "result": error if fails else 3, "traceback": None, "task_id": task_id})
        now = time.time()
        told = Ended(task_id, delivery.queue, 0, state, delivery.enqueued, now, now, document, **told_too)
        key = replayed_key(headers_of(delivery.payload))
        letter: Any = letter_of(delivery, error=ValueError("no"), release="v1") if fails else None
        if key and not fails:
            letter = ReplayEnd(key)
        record = Record(task_id, state, True, document, since=delivery.enqueued)
        self.engine.settle([Settled(delivery.seq, "ack", letter, records=[record], told=told)])

    def work(self, *, fail: Collection[str] | bool = ()) -> list[str]:
        """Run whatever waits, record it, and return the ids."""
        taken = self.take()
        for delivery in taken:
            if delivery.cancelled:
                self.drop(delivery)
            else:
                self.end(delivery, fails=fail is True or (fail is not False and delivery.task_id in fail))
        self.record()
        return [str(delivery.task_id) for delivery in taken if not delivery.cancelled]

    def drop(self, delivery: Delivery) -> None:
        """Let a job that was cancelled be over."""
        now = time.time()
        told = Ended(str(delivery.task_id), delivery.queue, 0, "REVOKED", delivery.enqueued, 0.0, now)
        self.engine.settle([Settled(delivery.seq, "ack", told=told)])

    # -- what is seen -----------------------------------------------------------------------------------------

    @property
    def jobs(self) -> Any:
        return self.app.operations.jobs

    @property
    def letters(self) -> Any:
        return self.app.operations.letters

    def states(self) -> dict[str, JobState]:
        return {row.id: row.state for row in self.app.history.jobs.find(limit=500).jobs}

    def audit(self) -> list[AuditEntry]:
        """The audit log, the oldest first."""
        return list(reversed(self.app.history.audit.find(limit=500).entries))
