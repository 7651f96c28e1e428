"""How far behind the history is, by the oldest entry of the log."""

import time
from typing import Any

import pytest

from umbel.monitor.lag import lag
from umbel.state.events import Ended, Ends, Event, Logged, Queued


class Log:
    def __init__(self, *events: Event) -> None:
        self._events = events

    def read(self, limit: int) -> Logged | None:
        assert limit == 1
        return Logged("1", self._events) if self._events else None


def _ends(*ends: Ended | None) -> Ends:
    return Ends("w@h", None, list(ends))


def test_nothing_that_waits_is_no_lag() -> None:
    log: Any = Log()
    assert lag(log) == 0.0
    log = Log(_ends(None))
    assert lag(log) == 0.0


@pytest.mark.parametrize(
    "event",
    [
        Queued("a", "q", 0, 70.0, 500.0, "{}"),
        _ends(None, Ended("a", "q", 0, "SUCCESS", 1.0, 60.0, 70.0)),
        # It runs still: what was told is that it began.
        _ends(Ended("a", "q", 0, "STARTED", 1.0, 70.0, 0.0)),
    ],
)
def test_it_is_as_old_as_the_oldest_entry(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 100.0)
    log: Any = Log(event)
    assert lag(log) == pytest.approx(30.0)
