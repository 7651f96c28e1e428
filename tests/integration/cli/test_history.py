"""umbel jobs list, show and failures, on a real history."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Cli
from tests.integration.monitor.events import Recorder, ended, queued
from umbel.monitor.history import History


@pytest.fixture
def history(shop: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    monkeypatch.setenv("UMBEL_HISTORY", "1")
    opened = History(folder=Path(shop.folder) / ".umbel")
    yield opened
    opened.close()


def test_jobs_are_listed_shown_and_grouped(shop: Cli, history: History) -> None:
    assert shop.ok("jobs", "list") == "Jobs: none"
    assert shop.ok("jobs", "failures", "--json") == "[]"
    now = time.time()
    recorder = Recorder(history)
    recorder.tell(queued("good", now - 90, args=(1, 2)), ended("good", started=now - 80, queued=now - 90))
    recorder.tell(
        queued("bad", now - 20, task="shop.fail", args=("why",), umbel_owner="ada"),
        ended("bad", "FAILURE", started=now - 10, queued=now - 20),
    )
    recorder.tell(queued("waits", now - 5, queue="mail"))
    listed = json.loads(shop.ok("jobs", "list", "--json"))
    assert [(job["id"], job["state"]) for job in listed] == [
        ("waits", "queued"),
        ("bad", "failed"),
        ("good", "succeeded"),
    ]
    shown = shop.ok("jobs", "list", "--state", "failed", "--state", "succeeded", "--since", "1m")
    assert "bad" in shown
    assert "good" not in shown
    assert "waits" not in shown
    assert "--before" in shop.run("jobs", "list", "--limit", "1").stderr
    for option, value in (("--queue", "mail"), ("--text", "wait")):
        assert [one["id"] for one in json.loads(shop.ok("jobs", "list", option, value, "--json"))] == ["waits"]
    one = shop.ok("jobs", "show", "bad")
    for text in ("shop.fail", '[["why"],{}]', "ada", "ValueError: no", "Attempt 1, failed", "Traceback"):
        assert text in one
    assert json.loads(shop.ok("jobs", "show", "good", "--json"))["job"]["attempts"] == 1
    groups = json.loads(shop.ok("jobs", "failures", "--json"))
    assert [(group["jobs"], group["error_type"]) for group in groups] == [(1, "ValueError")]
    assert groups[0]["fingerprint"] in shop.ok("jobs", "failures")


def test_what_there_is_not_is_said(shop: Cli, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = shop.run("jobs", "show", "nobody")
    assert missing.returncode == 1
    assert "nobody" in missing.stderr
    monkeypatch.setenv("UMBEL_HISTORY", "0")
    off = shop.run("jobs", "list")
    assert off.returncode != 0
    assert "UMBEL_HISTORY is off" in off.stderr
