"""A FastAPI application on a real store with its worker beside it, served by a real Uvicorn (C14, C20, C21, C22)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi import FastAPI

from tests.integration.web.shop import ROOT, Shop
from tests.integration.web.stub_app import DEADLINE, event_stream, until
from tests.processes import has_ended
from umbel import Umbel


def shares(seen: list[Any]) -> list[float]:
    return [
        event.data["progress"]["done"] / event.data["progress"]["total"] for event in seen if event.data["progress"]
    ]


def test_c21_progress_reaches_a_waiting_client_and_ends_at_its_total(shop: Shop) -> None:
    job = shop.dispatch("pack", 8, 0.1)
    with event_stream(f"{shop.address}/jobs/{job}/events") as events:
        seen = list(events)
    assert shares(seen) == sorted(shares(seen))
    assert len(set(shares(seen))) > 2, "seen while it ran"
    assert seen[-1].name == "finished"
    assert seen[-1].data["state"] == "succeeded"
    assert seen[-1].data["progress"]["done"] == seen[-1].data["progress"]["total"] == 8
    assert any(event.data["progress"] and event.data["progress"]["message"].startswith("box") for event in seen)
    answer = shop.client.get(f"/jobs/{job}/result")
    assert (answer.status_code, answer.json()["result"]) == (200, {"boxes": 8})


def test_c21_a_client_that_comes_back_goes_on_where_it_was(shop: Shop) -> None:
    job = shop.dispatch("pack", 10, 0.1)
    address = f"{shop.address}/jobs/{job}/events"
    seen = []
    # Four times it goes away after one event, and then it listens to the rest; unless the job was quicker.
    for events_wanted in (1, 1, 1, 1, None):
        if not seen or seen[-1].name != "finished":
            with event_stream(address, seen[-1].id if seen else None) as events:
                seen += itertools.islice(events, events_wanted)
    assert shares(seen) == sorted(shares(seen))
    assert seen[-1].name == "finished"
    assert len({event.id for event in seen}) == len(seen), "nothing is shown twice"
    assert shop.client.get(f"/jobs/{job}/events", headers={"Last-Event-ID": seen[-1].id}).status_code == 204


def test_c21_a_retry_shows_no_step_back(shop: Shop) -> None:
    job = shop.dispatch("pack_again", 5)
    with event_stream(f"{shop.address}/jobs/{job}/events") as events:
        seen = list(events)
    assert shares(seen) == sorted(shares(seen))
    assert seen[-1].data["result"] == 5


@pytest.mark.parametrize("kind", ["nan", "infinity", "bytes", "set", "text", "error"])
def test_c20_whatever_a_job_leaves_the_status_is_valid_json(shop: Shop, kind: str) -> None:
    job = shop.dispatch("odd", kind)
    found = shop.wait_state(job, "succeeded", "failed")
    assert found["id"] == job
    if kind == "error":
        assert found["state"] == "failed"
        assert "Odd" in found["error"]
    assert shop.client.get(f"/jobs/{job}/result").status_code in (200, 410)
    with event_stream(f"{shop.address}/jobs/{job}/events") as events:
        assert [event.name for event in events] == ["finished"]


def test_c20_a_running_job_shows_no_process_and_no_host(shop: Shop) -> None:
    running = shop.dispatch("wait_sync")
    cropping = shop.dispatch("crop")
    shop.wait_state(running, "running", "progress")
    found = shop.wait_state(cropping, "progress")
    assert (found["celery_state"], found["meta"]) == ("CROPPING", {"side": 7})
    for job in (running, cropping):
        text = shop.client.get(f"/jobs/{job}").text
        assert socket.gethostname() not in text
        assert "pid" not in text
        words = set(text.replace('"', " ").replace(",", " ").replace(":", " ").split())
        assert not words & {str(process.pid) for process in shop.family()}
        shop.client.delete(f"/jobs/{job}")


def test_c20_an_owner_sees_the_own_jobs_only(shop: Shop) -> None:
    job = shop.dispatch("pack", 1, owner="ann")
    for headers in ({}, {"x-user": "bob"}):
        for path in ("", "/result", "/events"):
            assert shop.client.get(f"/jobs/{job}{path}", headers=headers).status_code == 404
        assert shop.client.delete(f"/jobs/{job}", headers=headers).status_code == 404
    until(lambda: shop.status(job, **{"x-user": "ann"})["state"] == "succeeded", "it ran")
    assert shop.client.get(f"/jobs/{job}/result", headers={"x-user": "bob"}).status_code == 404
    assert shop.client.get(f"/jobs/{job}/result", headers={"x-user": "ann"}).status_code == 200


@pytest.mark.parametrize("name", ["wait_async", "wait_sync"])
def test_c22_a_running_job_is_cancelled(shop: Shop, name: str, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    job = shop.dispatch(name, str(ended))
    shop.wait_state(job, "progress")
    with event_stream(f"{shop.address}/jobs/{job}/events") as events:
        next(events)
        answer = shop.client.delete(f"/jobs/{job}")
        assert (answer.status_code, answer.json()) == (202, {"id": job, "state": "cancelled"})
        assert list(events)[-1].data["state"] == "cancelled"
    until(ended.exists, "it was interrupted")
    assert shop.client.delete(f"/jobs/{job}").status_code == 200
    assert shop.client.get(f"/jobs/{job}/result").status_code == 410


def test_c22_a_waiting_job_is_cancelled_for_good(open_shop: Callable[..., Shop], tmp_path: Path) -> None:
    """No worker is up; one that comes later runs the others and never this one."""
    ran, never = tmp_path / "ran", tmp_path / "never"
    without = open_shop(worker=False)
    cancelled = without.dispatch("note", str(never))
    assert without.status(cancelled)["state"] == "queued", "a job that was dispatched is never unknown (C20)"
    later = without.dispatch("note", str(never), countdown=600)
    assert without.status(later)["state"] == "scheduled"
    for job in (cancelled, later):
        answer = without.client.delete(f"/jobs/{job}")
        assert (answer.status_code, answer.json()) == (200, {"id": job, "state": "cancelled"})
    other = without.dispatch("note", str(ran))
    shop = open_shop(worker=True)
    shop.wait_state(other, "succeeded")
    assert ran.read_text() == "ran\n"
    assert not never.exists()
    assert shop.status(cancelled)["state"] == "cancelled"


def test_c22_unknown_and_finished(shop: Shop) -> None:
    assert shop.client.delete("/jobs/nothing").status_code == 404
    job = shop.dispatch("pack", 1)
    shop.wait_state(job, "succeeded")
    answer = shop.client.delete(f"/jobs/{job}")
    assert (answer.status_code, answer.json()["state"]) == (409, "succeeded")


def test_c4_the_dashboard_shows_the_real_store(open_shop: Callable[..., Shop]) -> None:
    without = open_shop(worker=False)
    job = without.dispatch("pack", 1)
    page = until(lambda: rows(without, "no consumer"), "the queue that nobody consumes is marked")
    assert any("celery no consumer 1 0 0" in row for row in page)
    shop = open_shop(worker=True)
    shop.wait_state(job, "succeeded")
    until(lambda: any(row.startswith("celery 0 0 0") for row in rows(shop)), "the queue is empty and consumed")
    (worker,) = rows(shop, "umbel-1@", "workers")
    assert "celery" in worker, worker
    assert shop.client.get("/umbel/healthz").json() == {"status": "ok"}


def rows(shop: Shop, word: str = "", page: str = "") -> list[str]:
    """Return the text of a page's table rows that have ``word``."""
    answer = shop.client.get(f"/umbel/{page}")
    assert answer.status_code == 200, answer.text
    found = re.findall(r"<tr.*?</tr>", answer.text, re.DOTALL)
    texts = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]
    return [text for text in texts if word in text]


def test_the_guides_application_works_as_it_stands(open_shop: Callable[..., Shop]) -> None:
    guide = (ROOT / "docs" / "guides" / "fastapi.md").read_text()
    whole, *others = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    shop = open_shop(worker=True, source=whole)
    ann = {"X-User": "ann"}
    job = shop.client.post("/orders/7", headers=ann).json()["job"]
    with event_stream(f"{shop.address}/jobs/{job}/events", **ann) as events:
        last = list(events)[-1].data
    assert (last["state"], last["result"], last["progress"]["done"]) == ("succeeded", "order 7 packed", 10)
    assert shop.client.get(f"/jobs/{job}").status_code == 404
    for source in others:
        compile(source, "fastapi.md", "exec")


def test_the_application_can_be_used_again_after_its_lifespan(tmp_path: Path) -> None:
    """Test suites start and stop an application many times in one process."""
    jobs = Umbel("shop", broker=f"sqlite:///{tmp_path}/jobs.db")

    @jobs.task(name="shop.nothing")
    def task() -> None: ...

    async def day() -> str:
        async with jobs.lifespan()(FastAPI()):
            return str((await task.adelay()).id)

    ids = [asyncio.run(day()) for _ in range(3)]
    assert [str(jobs.status(job).state) for job in ids] == ["queued"] * 3
    jobs.engine.close()


def gone(processes: list[psutil.Process]) -> bool:
    return all(map(has_ended, processes))


def test_c14_a_killed_web_process_takes_its_worker_along(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(worker=True)
    shop.wait_state(shop.dispatch("wait_sync"), "progress")
    family = shop.family()
    assert len(family) >= 2, "a supervisor and a worker process"
    shop.process.kill()
    until(lambda: gone(family), "nothing is left", 2 * DEADLINE)


def test_c19_a_web_process_that_stops_takes_its_worker_along(open_shop: Callable[..., Shop], tmp_path: Path) -> None:
    shop = open_shop(worker=True)
    running = shop.dispatch("pack", 8, 0.1)
    shop.wait_state(running, "progress")
    family = shop.family()
    shop.process.send_signal(signal.SIGTERM)
    shop.process.wait(2 * DEADLINE)
    assert gone(family)
    after = open_shop(worker=False)
    assert after.status(running)["state"] == "succeeded", "it had its grace period"


def test_c14_a_killed_worker_is_started_again_and_its_job_too(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(worker=True)
    job = shop.dispatch("pack", 20, 0.1)
    shop.wait_state(job, "progress")
    began = time.time()
    for process in shop.family():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    found = shop.wait_state(job, "succeeded")
    assert found["updated"] > began


def test_umbel_alone_imports_no_web_framework() -> None:
    script = (
        "import sys, umbel; umbel.Umbel; assert not {'fastapi', 'starlette', 'jinja2', 'uvicorn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
