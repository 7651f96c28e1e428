"""A shop with a dashboard: an application on the embedded engine, a worker with its recorder, and a web process."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import free_port
from tests.integration.worker.plant import DEADLINE, ROOT, Worker, until
from umbel import JobState, Umbel
from umbel.errors import JobNotFound
from umbel.monitor.history import History

__all__ = ("Site", "opened")

_WEB = """
from fastapi import FastAPI

from shop_jobs import jobs

api = FastAPI()
api.mount("/umbel", jobs.web())
"""


class Site:
    """All of it, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gates = folder / "gates"
        self.gates.mkdir()
        (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
        shutil.copyfile(ROOT / "tests/browser/shop_jobs.py", folder / "shop_jobs.py")
        (folder / "shop_web.py").write_text(_WEB)
        self.port = free_port()
        #: Where the dashboard is, without a slash at its end.
        self.root = f"http://127.0.0.1:{self.port}/umbel"
        self.broker = f"sqlite:///{folder / 'umbel.db'}"
        self.history = History(f"sqlite:///{folder / 'history.db'}")
        self.app = Umbel("shop", broker=self.broker)
        self.workers: list[Worker] = []
        self._web: subprocess.Popen[bytes] | None = None

    def _environment(self, **extra: str) -> dict[str, str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith(("UMBEL_", "CELERY_"))}
        return {
            **known,
            "UMBEL_BROKER_URL": self.broker,
            "UMBEL_HISTORY": "1",
            "UMBEL_HISTORY_URL": f"sqlite:///{self.folder / 'history.db'}",
            "SHOP_GATES": str(self.gates),
            "PYTHONPATH": os.pathsep.join((str(self.folder), str(ROOT), str(ROOT / "src"))),
            **extra,
        }

    # -- processes --------------------------------------------------------------------------------------------

    def start_web(self, **extra: str) -> None:
        """Start the web process, and wait until it answers."""
        command = [sys.executable, "-m", "uvicorn", "shop_web:api", "--port", str(self.port), "--log-level", "warning"]
        with (self.folder / "web.log").open("ab") as log:
            self._web = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(**extra),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._answers, f"the web process answers; {(self.folder / 'web.log').read_text()[-2000:]}")

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.root}/healthz", timeout=10).status_code == 200
        return False

    def start_worker(self, release: str = "r1", queues: str = "celery,mail", concurrency: int = 2) -> Worker:
        """Start a worker with one process, and wait until it fetches and its jobs are recorded."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        command = [sys.executable, "-m", "umbel", "worker", "-A", "shop_jobs:jobs", "--processes", "1"]
        command += ["-c", str(concurrency), "-Q", queues]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(UMBEL_RELEASE=release),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        known = {one.pid for one in self.app.engine.workers()}
        until(lambda: {one.pid for one in self.app.engine.workers()} - known, f"a worker fetches; {worker.text()}")
        until(self.app.engine.events.is_kept, f"a recorder; {worker.text()}")
        return worker

    def close(self) -> None:
        """End whatever was started."""
        for worker in self.workers:
            worker.destroy()
        if self._web is not None:
            self._web.kill()
            self._web.wait(DEADLINE)
        self.history.close()
        self.app.engine.close()
        self.app.close()

    # -- jobs -------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Let there be jobs in all states that last, and wait until they are recorded."""
        self.good = self.send("thumbnail", "apple.png", kwargs={"width": 640})
        self.bad = self.send("reserve", "pears", 3)
        self.again = self.send("fetch_rates", "the bank")
        self.later = self.app.send_task("shop.thumbnail", ("later.png",), countdown=86_400).id
        self.order = self.send("order", 7)
        self.unserved = self.send("count_stock", queue="stock")
        self.recorded(self.good, JobState.SUCCEEDED)
        self.recorded(self.bad, JobState.FAILED)
        self.recorded(self.again, JobState.RETRYING)
        self.recorded(self.later, JobState.SCHEDULED)
        self.recorded(self.order, JobState.SUCCEEDED)
        self.recorded(self.unserved, JobState.QUEUED)

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """Dispatch a job and return its id."""
        return str(self.app.send_task(f"shop.{name}", args, **options).id)

    def open_gate(self, *names: str) -> None:
        """Let jobs go on."""
        for name in names:
            (self.gates / name).touch()

    def recorded(self, job_id: str, *states: JobState) -> None:
        """Wait until the history says that a job is in one of ``states``."""

        def reached() -> bool:
            with contextlib.suppress(JobNotFound):
                return self.history.jobs.job(job_id).job.state in states
            return False

        until(reached, f"{job_id} is recorded as {', '.join(states)}")

    def running(self, job_id: str) -> None:
        """Wait until a job runs."""

        def reached() -> bool:
            with contextlib.suppress(JobNotFound):
                return self.app.status(job_id).state in (JobState.RUNNING, JobState.PROGRESS)
            return False

        until(reached, f"{job_id} runs")


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Site]:
    """Yield a site with nothing started yet."""
    site = Site(folder)
    try:
        yield site
    finally:
        site.close()
