"""C45: a plain Celery client's job goes the same way through the worker as one of Umbel's."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from umbel import Umbel
from umbel.engine.job import Job
from umbel.engine.short_path import ShortPath
from umbel.engine.store import Delivery


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    state.reset_state()


@pytest.fixture
def path(tmp_path: Path) -> ShortPath:
    app = Umbel("short", broker=f"sqlite:///{tmp_path}/jobs.db")

    @app.task(name="short.add")
    def add(a: int, b: int) -> int:
        return a + b

    app.finalize()
    consumer = SimpleNamespace(app=app, hostname="worker@here", event_dispatcher=None, pool=None)
    return ShortPath(app.tasks["short.add"], consumer, SimpleNamespace())  # type: ignore[arg-type]


def job_of(path: ShortPath, raw: dict[str, Any], enqueued: float = 0.0) -> Job | None:
    delivery = Delivery(1, "celery", json.dumps(raw), 1, enqueued=enqueued, task_id="a")
    return path.job(delivery, raw, SimpleNamespace(flusher=None))  # type: ignore[arg-type]


def envelope(**changes: Any) -> dict[str, Any]:
    body = json.dumps([[2, 3], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": changes.get("content_encoding", "utf-8"),
        "content-type": "application/json",
        "headers": {"id": "a", "task": "short.add", "eta": changes.get("eta"), "expires": None},
        "properties": {"body_encoding": changes.get("body_encoding", "base64"), "delivery_info": {}},
    }


def test_c45_a_body_in_base64_goes_the_short_way(path: ShortPath) -> None:
    job = job_of(path, envelope())
    assert job is not None
    assert job.request is not None
    assert (job.request.args, job.request.kwargs) == ([2, 3], {})


@pytest.mark.parametrize("changes", [{"body_encoding": "rot13"}, {"content_encoding": "latin-1"}])
def test_c45_a_body_of_another_encoding_goes_celerys_way(path: ShortPath, changes: dict[str, str]) -> None:
    assert job_of(path, envelope(**changes)) is None


def test_c16_what_a_plain_client_sent_for_later_is_left_to_the_store(path: ShortPath) -> None:
    later = envelope(eta="2030-01-01T00:00:00+00:00")
    assert job_of(path, later) is None
    assert job_of(path, later, enqueued=1.0) is not None, "it has waited at the store"
