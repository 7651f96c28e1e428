"""Starts the plain jobs of what was fetched, from the thread that fetches, past Celery's loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umbel.engine.pool import TaskPool
from umbel.engine.short_path import ShortPath, is_watched, plain_task

if TYPE_CHECKING:
    from umbel.engine.admission import Admission
    from umbel.engine.channel import Transport
    from umbel.engine.job import Job
    from umbel.engine.store import Delivery

__all__ = ("Starter",)


class Starter:
    """For one connection of a worker process."""

    def __init__(self, consumer: Any, transport: Transport, admission: Admission) -> None:
        self._consumer = consumer
        self._app = consumer.app
        self._pool = consumer.pool
        self._transport = transport
        self._admission = admission
        #: The short paths of plain tasks, by name; None for those that have none.
        self._paths: dict[str, ShortPath | None] = {}

    def renew(self) -> None:
        """Find out anew what is plain."""
        self._paths = {}

    def start(self, batch: list[Delivery]) -> list[Delivery]:
        """Start what may begin and is plain of a batch; return what must go Celery's way, on Celery's loop."""
        batch = self._admission.admit(batch)
        if not isinstance(self._pool, TaskPool) or is_watched(self._consumer.event_dispatcher):
            return batch
        jobs: list[Job] = []
        rest: list[Delivery] = []
        for delivery in batch:
            job = None
            if not delivery.cancelled and delivery.verdict is None and not delivery.suspect:
                try:
                    job = self._plain_job(delivery)
                except Exception:
                    # Whatever is wrong with a message, Celery's way says so, and the others of the batch start.
                    job = None
            if job is None:
                rest.append(delivery)
            else:
                jobs.append(job)
        if jobs:
            self._give(jobs, lone=len(batch) == 1)
        return rest

    def _give(self, jobs: list[Job], *, lone: bool) -> None:
        fetcher = self._transport.fetcher
        if lone and fetcher is not None and (run := self._pool.lone(jobs[0])) is not None:
            fetcher.shift.run_here(run)
        else:
            self._pool.take(*jobs)

    def _plain_job(self, delivery: Delivery) -> Job | None:
        raw = self._transport.peek(delivery)
        fetcher = self._transport.fetcher
        if raw is None or fetcher is None or "umbel_refused" in raw:
            return None
        if self._app.protection.refuses(raw.get("umbel_secured", "")):
            return None
        self._admission.mark(delivery, raw["headers"])
        name = raw["headers"].get("task")
        paths = self._paths
        path = paths[name] if name in paths else self._path(name)
        return None if path is None else path.job(delivery, raw, fetcher)

    def _path(self, name: Any) -> ShortPath | None:
        task = self._app.tasks.get(name) if isinstance(name, str) else None
        if task is None:
            return None
        plain = plain_task(task, self._app)
        path = self._paths[name] = ShortPath(task, self._consumer, self._transport.channels[0]) if plain else None
        return path
