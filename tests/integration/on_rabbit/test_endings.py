"""C23, C37: hooks and webhooks on RabbitMQ, with either state store beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.on_rabbit.conftest import Start, lines, until
from tests.integration.worker.receiver import Receiver
from umbel import Umbel, verify_webhook

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_c23_c37_ends_are_heard_of_and_told(
    umbel: Umbel, start: Start, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "heard"
    for name, value in {
        "TOLD_PATH": str(path),
        "TOLD_URL": receiver.url,
        "UMBEL_WEBHOOK_SECRET": SECRET,
        "UMBEL_WEBHOOK_ALLOW": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    start("umbel", "worker", "-A", "tests.integration.on_rabbit.told_app:app", "--processes", "1")
    right, wrong = (str(umbel.send_task("told.divide", args).id) for args in ((6, 3), (1, 0)))
    until(lambda: len(receiver.heard) >= 2, "both webhooks")
    told = {}
    for one in receiver.heard:
        data = verify_webhook(one.body, one.headers, SECRET).json()["data"]
        told[data["task_id"]] = data.get("result", data.get("error"))
    assert told == {right: 2, wrong: "ZeroDivisionError: integer division or modulo by zero"}
    assert sorted(lines(path)) == sorted([f"{right} 2", f"{wrong} integer division or modulo by zero"])
    assert json.loads(receiver.heard[0].body)["type"].startswith("job.")
