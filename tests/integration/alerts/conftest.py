"""A store, a history on each of its databases, and whoever looks for what is wrong."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.alerts.mailbox import Mailbox, mailbox
from tests.integration.monitor.conftest import history, made_file, made_server, new_on_server
from tests.integration.worker.receiver import Receiver
from umbel.engine.sqlite import SQLiteEngine
from umbel.monitor.alerts.alerter import Alerter
from umbel.monitor.alerts.plan import Mail, Plan, Thresholds, Webhooks
from umbel.monitor.history import History

__all__ = ("history", "made_file", "made_server", "new_on_server")

SECRET = f"whsec_{base64.b64encode(b'a key of this test only!').decode()}"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SQLiteEngine]:
    made = SQLiteEngine(tmp_path / "jobs.db")
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as made:
        yield made


@pytest.fixture
def alerting(engine: SQLiteEngine, history: History) -> Callable[..., Alerter]:
    """Make one that looks, with these channels and thresholds."""

    def make(*, webhook: str | None = None, mail: str | None = None, **more: Any) -> Alerter:
        webhooks = Webhooks(urls=(webhook,), secret=SECRET, allow=("127.0.0.1",), timeout=5.0) if webhook else None
        to = ("oncall@example.org", "ops@example.org")
        mails = Mail(url=mail, sender="umbel@example.org", recipients=to) if mail else None
        # Clocks are moved: only tests of this limit are to meet it.
        more = {"thresholds": Thresholds(wait=1e9), **more}
        return Alerter(engine, history, Plan(app="shop", webhooks=webhooks, mail=mails, **more))

    return make
