"""An outage is two lines in the log, however long it is tried again."""

from __future__ import annotations

import time

import pytest

from umbel.engine.outage import Outage, seldom


@pytest.fixture
def outage() -> Outage:
    return Outage("Cannot fetch", "Jobs are fetched again")


def test_one_line_when_it_begins_and_one_when_it_ends(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        outage.pause(OSError("no route"))
    outage.over()
    outage.over()
    first, last = caplog.messages
    assert first == "Cannot fetch (no route); trying again until it works."
    assert last.startswith("Jobs are fetched again after")
    outage.pause(OSError("again"))
    assert len(caplog.messages) == 3


def test_a_long_one_is_said_again(
    outage: Outage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    for seconds in range(0, 150, 10):
        monkeypatch.setattr(time, "monotonic", lambda at=now + seconds: at)
        outage.pause(OSError("no route"))
    assert len(caplog.messages) == 3


def test_pauses_grow_to_about_a_second_and_differ(outage: Outage) -> None:
    pauses = [outage.pause(OSError()) for _ in range(30)]
    assert pauses[0] < 0.1
    assert max(pauses) <= 1.25
    assert len(set(pauses[5:])) > 1


def test_what_is_said_at_each_try_is_said_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[int] = []
    say, now = seldom(said.append), time.monotonic()
    for seconds in range(0, 130, 10):
        monkeypatch.setattr(time, "monotonic", lambda at=now + seconds: at)
        say(seconds)
    assert said == [0, 60, 120]
