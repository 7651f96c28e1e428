"""A stand-in for ``Umbel`` whose jobs a test sets by hand, and a real Uvicorn to serve what is built on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import uvicorn

from tests.conftest import free_port
from umbel.errors import JobFinished, JobNotFound
from umbel.states import JobState

__all__ = ["Event", "StubJob", "StubUmbel", "event_stream", "serving", "until"]

DEADLINE = 20.0


@dataclass
class StubJob:
    """What ``Umbel.status`` returns, as far as the web reads it."""

    id: str
    state: JobState = JobState.QUEUED
    owner: str | None = None
    result: Any = None
    error: str | None = None
    progress: dict[str, Any] | None = None
    meta: Any = None
    retries: int = 0
    updated: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "state": str(self.state),
            "celery_state": "PENDING",
            "task": "shop.pack",
            "queue": "default",
            "result": self.result,
            "error": self.error,
            "progress": self.progress,
            "meta": self.meta,
            "retries": self.retries,
            "due": None,
            "updated": self.updated,
        }


@dataclass(eq=False)
class StubUmbel:
    """Jobs in a dictionary; counts the reads and notes when one came from an event loop's thread."""

    jobs: dict[str, StubJob] = field(default_factory=dict)
    debug: bool = False
    engine: Any = None
    main: str = "shop"
    reads: int = 0
    reads_of: Counter[str] = field(default_factory=Counter)
    read_on_loop: bool = False
    failure: Exception | None = None
    closed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def settings(self) -> SimpleNamespace:
        return SimpleNamespace(debug=self.debug)

    def add(self, job_id: str, **values: Any) -> StubJob:
        self.jobs[job_id] = StubJob(job_id, **values)
        return self.jobs[job_id]

    def status(self, job_id: str) -> StubJob:
        with self.lock:
            self.reads += 1
            self.reads_of[job_id] += 1
        self._note_thread()
        if self.failure is not None:
            raise self.failure
        if job_id not in self.jobs:
            raise JobNotFound(job_id)
        return self.jobs[job_id]

    def cancel(self, job_id: str) -> JobState:
        self._note_thread()
        job = self.jobs[job_id]
        if job.state.finished and job.state is not JobState.CANCELLED:
            raise JobFinished(job_id, job.state)
        job.state = JobState.CANCELLED
        return job.state

    @property
    def pool(self) -> StubUmbel:
        return self

    producer_pool = pool

    @property
    def conf(self) -> SimpleNamespace:
        return SimpleNamespace(broker_url="redis://127.0.0.1:1")

    def force_close_all(self, close_pool: bool) -> None:
        assert not close_pool, "an application that starts again in this process uses the pool again"
        self.closed += 1

    def close_databases(self) -> None:
        self.closed += 1

    def _note_thread(self) -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            self.read_on_loop = True


@dataclass(frozen=True)
class Event:
    """One server-sent event as a browser dispatches it."""

    name: str
    id: str
    data: Any


@contextlib.contextmanager
def serving(application: Any, **options: Any) -> Iterator[str]:
    """Serve an ASGI application by a real Uvicorn in a thread; yield its address."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=port, log_level="error", **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started, "Uvicorn started")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE / 2)
        server.force_exit = True
        thread.join(DEADLINE / 2)
        assert not thread.is_alive(), "Uvicorn did not stop"


@contextlib.contextmanager
def event_stream(url: str, last_event_id: str | None = None, **headers: str) -> Iterator[Iterator[Event]]:
    """Listen to server-sent events; yields an iterator that ends when the server ends the stream."""
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    with httpx.Client(timeout=DEADLINE) as client, client.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """Wait until ``condition`` holds and return its value; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.01)
    return value
