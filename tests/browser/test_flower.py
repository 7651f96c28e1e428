"""C45: Flower, the released one, shows Umbel's workers on Redis and their jobs, and controls them."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.conftest import free_port
from tests.integration.worker.plant import DEADLINE, ROOT, Plant, Worker, planted, until
from umbel import JobState


@pytest.fixture
def plant(redis_url: str, tmp_path: Path) -> Iterator[Plant]:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder, redis_url) as made:
        yield made


@pytest.fixture
def worker(plant: Plant) -> Worker:
    return plant.start("-E", processes=2, concurrency=3)


@pytest.fixture
def flower(plant: Plant, worker: Worker) -> Iterator[str]:
    """The address of a running Flower."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "plant_jobs:app",
        "flower",
        "--address=127.0.0.1",
        f"--port={port}",
    ]
    environment = {
        **os.environ,
        "UMBEL_BROKER_URL": plant.url,
        "PYTHONPATH": os.pathsep.join((str(plant.folder), str(ROOT / "src"))),
        "FLOWER_UNAUTHENTICATED_API": "true",
    }
    log = plant.folder / "flower.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=plant.folder, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            until(lambda: _answers(port), "Flower answers")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE)
            finally:
                process.kill()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def asked(plant: Plant, node: str, what: str, *words: str) -> Any:
    """What a node itself says."""
    found: list[Any] = []

    def answered() -> bool:
        inspect = plant.app.control.inspect([node], timeout=10, limit=1)
        found[:] = (getattr(inspect, what)(*words) or {}).values()
        return bool(found)

    until(answered, f"{node} answers")
    return found[0]


def accepted(page: Page, text: str) -> None:
    """Wait until Flower says that it is done."""
    page.locator(".toast.text-bg-success", has_text=text).first.wait_for()


@pytest.mark.slow
@pytest.mark.serial
def test_c45_flower_shows_and_controls_umbels_workers(plant: Plant, worker: Worker, flower: str, page: Page) -> None:
    nodes = sorted(status.hostname for status in plant.engine.workers())
    assert len(set(nodes)) == 2
    page.goto(f"{flower}/workers")
    for node in nodes:
        page.locator("#workers-table tr", has_text=node).locator("text=Online").first.wait_for()

    good, bad = plant.send("say", "hello"), plant.send("fail", "told")
    held, waiting = plant.send("hold", "gate"), plant.send("retry_later", "gate")
    for task_id, state in ((good, "SUCCESS"), (bad, "FAILURE"), (held, "STARTED"), (waiting, "RETRY")):
        _until_shown(page, f"{flower}/task/{task_id}", ".task-details-card .badge", state)
    page.goto(f"{flower}/tasks")
    for task_id in (good, bad, held, waiting):
        page.locator("#tasks-table tr", has_text=task_id).first.wait_for()

    page.goto(f"{flower}/task/{held}")
    page.click("#task-terminate")
    accepted(page, "Revoked")
    assert plant.ended(held).state is JobState.CANCELLED
    page.goto(f"{flower}/task/{waiting}")
    page.click("#task-revoke")
    accepted(page, "Revoked")
    assert plant.ended(waiting).state is JobState.CANCELLED
    _until_shown(page, f"{flower}/task/{held}", ".task-details-card .badge", "REVOKED")

    _configure(plant, page, flower, nodes[0])
    page.goto(f"{flower}/worker/{nodes[1]}")
    page.click("#worker-group")
    page.click("#worker-shutdown")
    accepted(page, "Shutting down")
    until(lambda: [status.hostname for status in plant.engine.workers()] == nodes[:1], "one process is left")
    page.goto(f"{flower}/workers")
    page.locator("#workers-table tr", has_text=nodes[1]).locator("text=Offline").first.wait_for()
    assert plant.ended(plant.send("say", "still there")).state is JobState.SUCCEEDED


def _configure(plant: Plant, page: Page, flower: str, node: str) -> None:
    """A worker's own page."""
    say = plant.task("say")
    page.goto(f"{flower}/worker/{node}")
    page.click("#worker-tab-config")
    page.locator("#tab-config tr", has_text="task_acks_late").first.wait_for()
    page.click("#worker-tab-pool")
    page.fill("#pool-size", "2")
    page.click("#worker-pool-grow")
    accepted(page, "growing")
    until(lambda: asked(plant, node, "stats")["pool"]["max-concurrency"] == 5, "the pool has grown")
    page.click("#worker-tab-limits")
    page.locator("#limits-table tr", has_text=say).locator("input").first.fill("50")
    page.click(f'[id="task-rate-limit-{say}"]')
    accepted(page, "rate limit")
    until(lambda: f"{say} [rate_limit=50]" in asked(plant, node, "registered", "rate_limit"), "the limit is set")
    page.click("#worker-tab-queues")
    page.fill("#add-consumer-name", "extra")
    page.click("#worker-add-consumer")
    accepted(page, "add consumer")
    until(lambda: "extra" in _consumed(plant, node), "the queue is consumed")
    assert plant.ended(plant.send("say", "extra", queue="extra")).state is JobState.SUCCEEDED
    _until_shown(page, f"{flower}/worker/{node}", '[id="worker-cancel-consumer-extra"]', "Cancel")
    page.click("#worker-tab-queues")
    page.click('[id="worker-cancel-consumer-extra"]')
    accepted(page, "no longer consuming")
    until(lambda: "extra" not in _consumed(plant, node), "the queue is no longer consumed")


def _consumed(plant: Plant, node: str) -> set[str]:
    return {queue["name"] for queue in asked(plant, node, "active_queues")}


def _until_shown(page: Page, address: str, selector: str, text: str) -> None:
    """Load a page again and again until it says something: Flower hears of things a moment later."""

    def shown() -> bool:
        page.goto(address)
        found = page.locator(selector)
        return found.count() > 0 and text in (found.first.text_content() or "")

    until(shown, f"{text} at {address}")
