"""The service as users run it: web process, worker and mail server, each a process of its own on loopback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.demo.children import Children
from services.demo.mailbox import Mailbox
from tests.conftest import free_port
from tests.services.email_campaigns.conftest import ROOT, until

SPRING = {"name": "Spring", "subject": "Hi {{ name }}", "text": "Dear {{ name }}", "html": "<p>{{ name }}</p>"}


@dataclass
class Service:
    """The running parts, and what a person does with them."""

    client: httpx.Client
    children: Children
    mailbox: Mailbox
    folder: Path
    workers: int = 0

    def start_worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start ``umbel worker`` and return its supervisor."""
        self.workers += 1
        name = f"worker-{self.workers}"
        return self.children.start(name, ["umbel", "worker", "-A", "services.email_campaigns:jobs", *options])

    def new_campaign(self, recipients: int, **texts: str) -> str:
        """Make a campaign with so many recipients; return its path."""
        path = f"/campaigns/{self.post('/campaigns', json=SPRING | texts)['id']}"
        rows = [f"reader{number}@example.test,Reader {number}" for number in range(recipients)]
        content = "\n".join(["email,name", *rows]).encode()
        self.post(f"{path}/recipients", files={"file": ("r.csv", content)})
        return path

    def post(self, path: str, **content: object) -> dict[str, int]:
        answer: dict[str, int] = self.client.post(path, **content).raise_for_status().json()  # type: ignore[arg-type]
        return answer

    def ask(self, query: str) -> list[Any]:
        """Return the first column of what the service's database answers."""
        with closing(sqlite3.connect(self.folder / "campaigns.db", timeout=30)) as connection:
            return [row[0] for row in connection.execute(query)]

    def progress(self, path: str) -> dict[str, int]:
        found: dict[str, int] = self.client.get(f"{path}/progress").raise_for_status().json()
        return found

    def wait_until_finished(self, path: str, seconds: float = 60.0) -> dict[str, int]:
        until(lambda: self.progress(path)["state"] == "finished", seconds)
        return self.progress(path)


@contextmanager
def running(folder: Path, *, smtp_port: int | None = None, **email: object) -> Iterator[Service]:
    """Run the web process and the mail server (unless one is given); ``email`` are settings of the service."""
    folder.mkdir(parents=True, exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("UMBEL_", "EMAIL_"))}
    environ |= {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        "UMBEL_BROKER_URL": f"sqlite:///{folder / 'jobs.db'}",
        "EMAIL_FOLDER": str(folder),
    }
    settings = {"rate_per_minute": 1_000_000, "retry_backoff": 0.2, **email}
    environ |= {f"EMAIL_{name.upper()}": str(value) for name, value in settings.items()}
    mailbox, port = Mailbox(folder / "mailbox.db"), free_port()
    with Children(folder, environ) as children, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        if smtp_port is None:
            command = ["services.demo.smtp_server", str(folder / "mailbox.db")]
            smtp_port = children.start_listening("mail-server", command)
        children.environ["EMAIL_SMTP_URL"] = f"smtp://127.0.0.1:{smtp_port}"
        command = ["uvicorn", "services.email_campaigns:app", "--port", str(port), "--log-level", "warning"]
        children.start("web", command)
        until(lambda: _answers(client, children))
        yield Service(client, children, mailbox, folder)


def _answers(client: httpx.Client, children: Children) -> bool:
    children.check()
    try:
        return client.get("/campaigns").status_code == 200
    except httpx.ConnectError:
        return False
