"""Server-sent events of a job over a real Uvicorn: resume, never go back, cost one reader (C21)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import free_port
from tests.integration.web.stub_app import DEADLINE, Event, StubUmbel, event_stream, serving, until
from umbel.errors import StoreReadOnly
from umbel.states import JobState
from umbel.web import stream, watcher
from umbel.web.router import build_router


@pytest.fixture
def umbel() -> StubUmbel:
    return StubUmbel()


@pytest.fixture
def address(umbel: StubUmbel) -> Iterator[str]:
    api = FastAPI()
    api.include_router(build_router(umbel, owner=lambda request: request.headers.get("x-user")))  # type: ignore[arg-type]
    with serving(api) as address:
        yield address


def bar(done: float, total: float = 10, message: str = "") -> dict[str, Any]:
    return {"done": done, "total": total, "message": message}


def shares(seen: list[Event]) -> list[float]:
    return [
        event.data["progress"]["done"] / event.data["progress"]["total"] for event in seen if event.data["progress"]
    ]


def test_c21_changes_arrive_and_the_stream_ends_with_the_job(umbel: StubUmbel, address: str) -> None:
    job = umbel.add("a")
    with event_stream(f"{address}/jobs/a/events") as events:
        seen = [next(events)]
        job.state = JobState.RUNNING
        seen.append(next(events))
        job.state, job.progress = JobState.PROGRESS, bar(1, message="packing")
        seen.append(next(events))
        job.progress = bar(9, message="labels")
        seen.append(next(events))
        job.progress, job.result, job.state = bar(10), "done", JobState.SUCCEEDED
        seen += events  # ends by itself
    assert [event.name for event in seen] == ["state", "state", "state", "progress", "finished"]
    assert [event.data["state"] for event in seen] == ["queued", "running", "progress", "progress", "succeeded"]
    assert seen[2].data["progress"] == bar(1, message="packing")
    assert seen[-1].data == job.as_dict()
    assert len({event.id for event in seen}) == len(seen)
    assert all(re.fullmatch(r"\d+-[0-9a-f]+", event.id) for event in seen)


def test_c21_a_finished_job_is_one_event(umbel: StubUmbel, address: str) -> None:
    umbel.add("a", state=JobState.FAILED, error="ValueError: x\ny")
    with event_stream(f"{address}/jobs/a/events") as events:
        (only,) = events
    assert (only.name, only.data["error"]) == ("finished", "ValueError: x\ny")


def test_c21_progress_never_goes_back_not_even_when_the_job_starts_again(umbel: StubUmbel, address: str) -> None:
    job = umbel.add("a", state=JobState.PROGRESS, progress=bar(8))
    with event_stream(f"{address}/jobs/a/events") as events:
        seen = [next(events)]
        job.progress, job.retries = bar(2, message="again"), 1
        seen.append(next(events))
        job.progress = bar(9)
        seen.append(next(events))
    assert shares(seen) == pytest.approx([0.8, 0.8, 0.9])
    assert seen[1].data["progress"]["message"] == "again"


def test_c21_resume_shows_the_latest_state_that_was_missed_and_no_shorter_bar(umbel: StubUmbel, address: str) -> None:
    job = umbel.add("a", state=JobState.PROGRESS, progress=bar(5))
    with event_stream(f"{address}/jobs/a/events") as events:
        first = next(events)
    job.progress = bar(7)
    with event_stream(f"{address}/jobs/a/events", first.id) as events:
        second = next(events)
    job.progress = bar(1)
    with event_stream(f"{address}/jobs/a/events", second.id) as events:
        third = next(events)
    assert shares([first, second, third]) == pytest.approx([0.5, 0.7, 0.7], abs=1e-5)


def test_c21_resume_repeats_nothing(umbel: StubUmbel, address: str) -> None:
    job = umbel.add("a", state=JobState.PROGRESS, progress=bar(5))
    with event_stream(f"{address}/jobs/a/events") as events:
        first = next(events)
    job.updated = 5.0  # a renewed time stamp is no news
    with event_stream(f"{address}/jobs/a/events", first.id) as events:
        reads = umbel.reads
        until(lambda: umbel.reads > reads + 2, "the watcher has looked again")
        job.state = JobState.SUCCEEDED
        (last,) = events
    assert last.name == "finished"
    answer = httpx.get(f"{address}/jobs/a/events", headers={"Last-Event-ID": last.id})
    assert answer.status_code == 204, "a browser stops reconnecting on 204"


@pytest.mark.parametrize("last_event_id", ["7", "9999999999-abcdefabcdef", "\u0661-abcdefabcdef", "x" * 5000])
def test_c21_a_foreign_last_event_id_is_ignored(umbel: StubUmbel, address: str, last_event_id: str) -> None:
    umbel.add("a", state=JobState.SUCCEEDED, progress=bar(10))
    headers = {"Last-Event-ID": last_event_id.encode()}
    answer = httpx.get(f"{address}/jobs/a/events", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert "event: finished" in answer.text


def test_c21_many_listeners_cost_one_read_a_pass(umbel: StubUmbel, address: str) -> None:
    """Twelve listen to one job and one to another: both are read equally often."""
    job = umbel.add("a", state=JobState.RUNNING)
    umbel.add("b", state=JobState.RUNNING)
    with ExitStack() as stack:
        streams = [stack.enter_context(event_stream(f"{address}/jobs/a/events")) for _ in range(12)]
        other = stack.enter_context(event_stream(f"{address}/jobs/b/events"))
        for events in (*streams, other):
            next(events)
        reads_a, reads_b = umbel.reads_of["a"], umbel.reads_of["b"]
        until(lambda: umbel.reads_of["b"] >= reads_b + 4, "the watcher has looked again")
        assert umbel.reads_of["a"] - reads_a <= umbel.reads_of["b"] - reads_b + 1
        job.state = JobState.SUCCEEDED
        assert [next(events).name for events in streams] == ["finished"] * 12
    assert not umbel.read_on_loop


def watchers_of(umbel: StubUmbel) -> list[watcher.Watcher]:
    return [by_app[umbel] for by_app in list(watcher._watchers.values()) if umbel in by_app]  # type: ignore[index, operator]


def test_c21_the_store_is_left_alone_when_the_last_listener_is_gone(umbel: StubUmbel, address: str) -> None:
    umbel.add("a", state=JobState.RUNNING)
    umbel.add("b", state=JobState.RUNNING)
    with event_stream(f"{address}/jobs/a/events") as events:
        next(events)
        with event_stream(f"{address}/jobs/b/events") as others:
            next(others)
            (watching,) = watchers_of(umbel)
            assert watching.count == 2
        until(lambda: watching.count == 1, "a client that hung up is forgotten")
        assert watching.reading
    until(lambda: watching.count == 0 and not watching.reading, "the watcher rests")
    with event_stream(f"{address}/jobs/a/events") as events:
        next(events)
        assert watching.reading


def test_c21_a_job_that_the_store_forgets_ends_the_stream(umbel: StubUmbel, address: str) -> None:
    umbel.add("a", state=JobState.RUNNING)
    with event_stream(f"{address}/jobs/a/events") as events:
        next(events)
        del umbel.jobs["a"]
        assert [(event.name, event.data) for event in events] == [("gone", {"id": "a"})]


def test_c21_the_stream_outlives_a_store_that_is_away(
    umbel: StubUmbel, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "ERROR_PAUSE", 0.05)
    job = umbel.add("a", state=JobState.RUNNING)
    with event_stream(f"{address}/jobs/a/events") as events:
        next(events)
        umbel.failure = StoreReadOnly("/x", "gone")
        reads = umbel.reads
        until(lambda: umbel.reads > reads + 1, "the watcher has failed twice")
        job.state, umbel.failure = JobState.SUCCEEDED, None
        assert [event.name for event in events] == ["finished"]


def test_c21_heartbeats_keep_a_silent_stream_open(
    umbel: StubUmbel, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.05)
    umbel.add("a", state=JobState.RUNNING)
    with httpx.stream("GET", f"{address}/jobs/a/events", timeout=DEADLINE) as answer:
        lines = answer.iter_lines()
        assert [next(line for line in lines if line.startswith(":")) for _ in range(3)] == [": still here"] * 3


def test_c21_a_stream_has_a_lifetime_so_that_its_right_is_checked_again(
    umbel: StubUmbel, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.02)
    monkeypatch.setattr(stream, "LIFETIME", 0.1)
    umbel.add("a", state=JobState.RUNNING)
    with event_stream(f"{address}/jobs/a/events") as events:
        assert [event.name for event in events] == ["state"]


def test_listeners_are_bounded(umbel: StubUmbel, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "MAX_LISTENERS", 1)
    umbel.add("a", state=JobState.RUNNING)
    with event_stream(f"{address}/jobs/a/events") as events:
        next(events)
        refused = httpx.get(f"{address}/jobs/a/events")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:umbel:problem:too-many-listeners")
        (watching,) = watchers_of(umbel)
    until(lambda: watching.count == 0, "the place is free again")
    with event_stream(f"{address}/jobs/a/events") as events:
        assert next(events).name == "state"


SERVER = """
import sys
import uvicorn
from fastapi import FastAPI
from tests.integration.web.stub_app import StubUmbel
from umbel.states import JobState
from umbel.web.router import build_router

umbel = StubUmbel()
umbel.add("a", state=JobState.RUNNING)
api = FastAPI()
api.include_router(build_router(umbel, owner=lambda request: None))
uvicorn.run(api, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


def test_c21_an_open_stream_does_not_keep_the_server_from_stopping(tmp_path: Path) -> None:
    """Uvicorn waits for open responses without a limit; a stream on a job that never ends must end by itself."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    port = free_port()
    root = Path(__file__).resolve().parents[3]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    with subprocess.Popen([sys.executable, str(script), str(port)], env=environ) as server:
        try:
            address = f"http://127.0.0.1:{port}/jobs/a/events"
            until(lambda: answers(f"http://127.0.0.1:{port}/jobs/none"), "the server answers")
            with event_stream(address) as events:
                assert next(events).data["state"] == "running"
                server.send_signal(signal.SIGTERM)
                assert list(events) == []
            server.wait(DEADLINE)
        finally:
            server.kill()


def answers(url: str) -> bool:
    try:
        return bool(httpx.get(url).status_code)
    except httpx.HTTPError:
        return False
