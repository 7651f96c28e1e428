"""A FastAPI application on a real store, served by a real Uvicorn in a process and a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.conftest import free_port
from tests.integration.web.stub_app import DEADLINE, until

__all__ = ["ROOT", "Shop"]

ROOT = Path(__file__).resolve().parents[3]

SHOP = """
import asyncio
import os
import time

from fastapi import FastAPI, Request

from umbel import Umbel, progress

jobs = Umbel("shop")


@jobs.task
def pack(boxes, pause=0.0):
    for box in range(1, boxes + 1):
        time.sleep(pause)
        progress(box, boxes, f"box {box}")
    return {"boxes": boxes}


@jobs.task(bind=True, max_retries=1)
def pack_again(self, boxes):
    for box in range(1, boxes + 1):
        progress(box, boxes)
        time.sleep(0.05)
        if box == boxes - 1 and self.request.retries == 0:
            raise self.retry(countdown=0)
    return boxes


class Odd(Exception):
    def __str__(self):
        return "caf\\udce9 \\x00 " + "x" * 10


@jobs.task
def odd(kind):
    if kind == "error":
        raise Odd(object())
    return {"nan": float("nan"), "infinity": [float("-inf")], "bytes": b"\\xff", "set": {1}, "text": "\\udce9"}[kind]


@jobs.task(bind=True)
def crop(self):
    self.update_state(state="CROPPING", meta={"side": 7})
    time.sleep(600)


@jobs.task
async def wait_async(ended="/dev/null"):
    progress(1, 2, "waiting")
    try:
        await asyncio.sleep(600)
    finally:
        write(ended)


@jobs.task
def wait_sync(ended="/dev/null"):
    progress(1, 2, "waiting")
    try:
        while True:
            time.sleep(0.01)
    finally:
        write(ended)


def write(path):
    with open(path, "a") as file:
        file.write("ran\\n")


@jobs.task
def note(path):
    write(path)


api = FastAPI(lifespan=jobs.lifespan(worker=os.environ.get("SHOP_WORKER") == "yes", processes=1, grace=5))
api.include_router(jobs.router(owner=lambda request: request.headers.get("x-user")))
api.mount("/umbel", jobs.web())


@api.post("/dispatch/{name}")
async def dispatch(name: str, request: Request):
    body = await request.json()
    task = jobs.tasks[f"shop.{name}"]
    result = await task.aapply_async(body.get("args", ()), **body.get("options", {}))
    return result.id
"""


class Shop:
    """One web process of the application in a folder of its own."""

    def __init__(self, folder: Path, *, worker: bool, source: str = SHOP) -> None:
        (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
        (folder / "shop.py").write_text(source)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        known = {name: value for name, value in os.environ.items() if not name.startswith(("UMBEL_", "CELERY_"))}
        environ = known | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
            "SHOP_WORKER": "yes" if worker else "no",
            "UMBEL_HISTORY": "0",
        }
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "shop:api", "--port", str(self.port), "--log-level", "warning"],
                cwd=folder,
                env=environ,
                stdout=log,
                stderr=log,
            )
        #: All that was ever below it: a test that fails must not leave them.
        self.seen: set[psutil.Process] = set()
        self.client = httpx.Client(base_url=self.address, timeout=DEADLINE)

    def wait_started(self) -> Shop:
        until(self._answers, "the shop answers")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            return self.client.get("/jobs/nothing").status_code == 404
        return False

    def dispatch(self, name: str, *args: Any, **options: Any) -> str:
        answer = self.client.post(f"/dispatch/{name}", json={"args": args, "options": options})
        assert answer.status_code == 200, answer.text + self.log.read_text()
        return str(answer.json())

    def status(self, job_id: str, **headers: str) -> dict[str, Any]:
        answer = self.client.get(f"/jobs/{job_id}", headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = json.loads(answer.content, parse_constant=_no_constant)
        return found

    def wait_state(self, job_id: str, *states: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.update(self.status(job_id))
            return found["state"] in states

        try:
            until(reached, f"{job_id} is {states}", 2 * DEADLINE)
        except AssertionError as error:
            raise AssertionError(f"{error}: {found}\n{self.log.read_text()}") from error
        return found

    def family(self) -> list[psutil.Process]:
        """Return the processes below the web process."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid).children(recursive=True)
            self.seen.update(family)
            return family
        return []

    def close(self) -> None:
        self.family()
        self.client.close()
        for process in (self.process, *self.seen):
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                process.kill()
        self.process.wait()


def _no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")
