"""What jobs have logged, in the history: read by execution, and gone with its job."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from tests.integration.monitor.events import START, Recorder, ended, queued
from umbel.monitor.history import History
from umbel.monitor.retention import Limit, Retention
from umbel.monitor.tables import LINES
from umbel.state.events import Line, Lines
from umbel.states import JobState


def lines(*texts: str, head: int = 0, dropped: int = 0) -> Lines:
    return Lines(tuple(Line(START + 2, "INFO", "shop", text) for text in texts), head, dropped)


def rows(history: History) -> int:
    with history.database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(LINES)) or 0


def test_each_execution_has_its_own(history: History) -> None:
    recorder = Recorder(history)
    recorder.tell(queued("a"), queued("quiet"))
    recorder.tell(ended("a", "RETRY", lines=lines("first", "last\0", head=1, dropped=7)), ended("quiet"))
    recorder.tell(ended("a", started=START + 10, attempt=1, lines=lines("käse ☃")))
    first, second = history.lines.of("a")
    assert [line.text for line in first.lines] == ["first", "last\ufffd"]
    assert (first.retries, first.head, first.dropped, first.ended_at) == (0, 1, 7, START + 3)
    assert first.lines[0] == Line(START + 2, "INFO", "shop", "first")
    assert [line.text for line in second.lines] == ["käse ☃"]
    assert second.retries == 1
    assert history.lines.of("quiet") == ()
    assert history.lines.of("nobody") == ()
    assert rows(history) == 2


def test_they_go_with_their_job(history: History) -> None:
    recorder = Recorder(history)
    recorder.tell(queued("a"), ended("a", lines=lines("x")), queued("b"), ended("b", "FAILURE", lines=lines("y")))
    assert history.prune(Retention(jobs={JobState.SUCCEEDED: Limit(age=timedelta(days=1))})) in (0, 1)
    history.prune(Retention(jobs={JobState.SUCCEEDED: Limit(most=0)}))
    assert rows(history) == 1
    assert [one.lines[0].text for one in history.lines.of("b")] == ["y"]
