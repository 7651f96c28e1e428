"""The service under test: a folder and settings of its own for each test, real servers on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import httpx
import pytest
import uvicorn

from services.demo.mailbox import Mailbox
from services.email_campaigns import app, database, smtp, tasks
from services.email_campaigns.models import Campaign, CampaignState, Mail, MailKind
from services.email_campaigns.settings import Settings, settings
from tests.services.conftest import forget_environment

forget_environment()

ROOT = Path(__file__).resolve().parents[3]


class Configure(Protocol):
    """Changes settings for the rest of a test."""

    def __call__(self, **values: object) -> Settings: ...


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Set ``EMAIL_*`` variables; the folder is the test's own from the start."""

    def set_values(**values: object) -> Settings:
        for name, value in values.items():
            monkeypatch.setenv(f"EMAIL_{name.upper()}", str(value))
        settings.cache_clear()
        return settings()

    set_values(folder=tmp_path / "email", rate_per_minute=1_000_000, retry_backoff=0, smtp_timeout=5)
    yield set_values
    smtp.close()
    database._engine(settings().database, os.getpid()).dispose()
    settings.cache_clear()


@pytest.fixture(scope="session")
def _web_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(configure: Configure, _web_port: int) -> Iterator[httpx.Client]:
    """A client of the web application, which runs in this process."""
    with httpx.Client(base_url=f"http://127.0.0.1:{_web_port}", timeout=30) as found:
        yield found


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[object, ...], dict[str, object]]]:
    """What was handed to the broker, in order, instead of handing it over: task, arguments, options."""
    calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
    for name in ("send_mail", "start_campaign"):
        task = getattr(tasks, name)

        def record(args: tuple[object, ...] = (), *, _name: str = name, **options: object) -> None:
            calls.append((_name, tuple(args), options))

        monkeypatch.setattr(task, "apply_async", record)
    return calls


@pytest.fixture
def mail_server(tmp_path: Path, configure: Configure) -> Iterator[Mailbox]:
    """A real SMTP server in a process of its own, set as the service's; its log of all mails."""
    path = tmp_path / "mailbox.db"
    mailbox = Mailbox(path)
    command = [sys.executable, "-m", "services.demo.smtp_server", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            configure(smtp_url=f"smtp://127.0.0.1:{int(process.stdout.readline())}")
            yield mailbox
        finally:
            process.terminate()


@pytest.fixture
def make_mails(configure: Configure) -> Callable[..., list[int]]:
    """Make a running campaign with so many recipients; return the mails' ids."""
    return _make_mails


def _make_mails(count: int = 1, *, state: str = "running", **fields: object) -> list[int]:
    with database.writing() as session:
        campaign = Campaign(name="Spring", subject="Hello {{ name }}", text="Dear {{ name }}", html="<p>{{ name }}</p>")
        campaign.state = CampaignState(state)
        session.add(campaign)
        session.flush()
        mails = [
            Mail(
                kind=MailKind.CAMPAIGN,
                campaign_id=campaign.id,
                address=f"reader{number}@example.test",
                fields={"name": f"Reader {number}"},
                **fields,
            )
            for number in range(count)
        ]
        session.add_all(mails)
        session.flush()
        return [mail.id for mail in mails]


def the_mail(mail_id: int) -> Mail:
    """Return a mail as it stands in the database."""
    with database.reading() as session:
        return session.get_one(Mail, mail_id)


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for a condition, and fail when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.02)
