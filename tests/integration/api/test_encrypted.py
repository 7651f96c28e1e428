"""C43: where everything is encrypted at rest, the API decrypts nothing to show it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.conftest import OPERATOR
from tests.integration.operations.stand import SECRET, Stand
from umbel.engine.burial import letter_of
from umbel.engine.store import Record, Settled
from umbel.state.events import Ended


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path, web_token=OPERATOR, payload_protection="encrypt")
    yield made
    made.close()


def test_of_an_error_its_type_is_told(stand: Stand, api: Any) -> None:
    stand.put("a")
    (delivery,) = stand.take()
    error = {"exc_type": "ValueError", "exc_message": [SECRET], "exc_module": "builtins"}
    text = json.dumps({"status": "FAILURE", "result": error, "traceback": SECRET, "task_id": "a"})
    document = stand.app.protection.result("a", "FAILURE", text)
    record = Record("a", "FAILURE", True, document, since=delivery.enqueued)
    now = time.time()
    told = Ended("a", delivery.queue, 0, "FAILURE", delivery.enqueued, now, now, str(document))
    letter = letter_of(delivery, error=ValueError(SECRET), discreet=True)
    stand.engine.settle([Settled(delivery.seq, "ack", letter, records=[record], told=told)])
    stand.record()
    assert stand.app.status("a").error == f"ValueError: {SECRET}", "who has the keys can read it"
    for path in ("/jobs/a", "/jobs/a/where", "/jobs", "/dead-letters/a", "/failures"):
        answer = api.get(path)
        assert answer.status_code == 200
        assert SECRET not in answer.text, path
    assert api.get("/jobs/a/where").json()["error"] == "ValueError"
