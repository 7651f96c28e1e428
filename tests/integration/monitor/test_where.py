"""Where the history is kept (``UMBEL_HISTORY_URL``), and what comes of the databases that it cannot be in."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from tests.integration.monitor.events import Recorder, ended, queued
from umbel import Umbel
from umbel.errors import ConfigurationError, StoreCorrupt, StoreUnreachable
from umbel.monitor.database import history_address
from umbel.monitor.history import History
from umbel.states import JobState


def test_it_is_beside_the_messages_unless_told_otherwise(project: Path) -> None:
    """A file of its own, which writes ahead and gives its pages back."""
    jobs = Umbel("shop", set_as_current=False)
    Recorder(jobs.history).tell(queued("a"))
    jobs.close_databases()
    jobs.close()
    path = project / ".umbel" / "history.db"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM umbel_jobs").fetchone() == (1,)
    connection.close()


def test_the_setting_says_where(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_HISTORY_URL", f"sqlite:///{project / 'elsewhere' / 'own.db'}")
    jobs = Umbel("shop", set_as_current=False)
    assert jobs.history.jobs.find().jobs == ()
    jobs.close_databases()
    jobs.close()
    assert (project / "elsewhere" / "own.db").is_file()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_server_may_be_written_in_any_usual_way(scheme: str) -> None:
    address = history_address(f"{scheme}://ann:pw@db/shop", Path())
    assert address.render_as_string(hide_password=False) == "postgresql+psycopg://ann:pw@db/shop"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://db/shop", "names mysql, and the history needs SQLite or PostgreSQL: write postgresql"),
        ("sqlite://", "names no file, and several processes share the history"),
        ("sqlite:///:memory:", "names no file"),
        ("nonsense", "is not a database's URL: write postgresql"),
    ],
)
def test_another_database_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"UMBEL_HISTORY_URL {reason}"):
        History(url)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"nothing that SQLite has written" * 200)
    with pytest.raises(StoreCorrupt, match=r"history\.db is damaged"):
        History(f"sqlite:///{path}")


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(
        StoreUnreachable, match=r"postgresql\+psycopg://ann:\*\*\*@127\.0\.0\.1:1/shop cannot be reached"
    ):
        History("postgresql://ann:secret@127.0.0.1:1/shop")


def test_who_reads_does_not_wait_for_who_writes(history: History) -> None:
    """And sees one state of it, however long it looks."""
    recorder = Recorder(history)
    recorder.tell(queued("a"))
    with history.database.reading() as connection:
        for _ in range(2):
            assert connection.exec_driver_sql("SELECT state FROM umbel_jobs").scalar() == "queued"
            recorder.tell(queued("b"), ended("a"))
    found: list[JobState] = []
    history.database.write(lambda _: found.append(history.jobs.job("a").job.state))
    assert found == [JobState.SUCCEEDED]


def test_a_child_does_not_use_what_it_inherited(history: History) -> None:
    """And its parent goes on with what it had open."""
    recorder = Recorder(history)
    with history.database.reading() as connection:
        child = os.fork()
        if not child:
            code = 1
            with contextlib.suppress(BaseException):
                Recorder(history, "child").tell(queued("b"))
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM umbel_cursors").scalar() in (0, 1)
    recorder.tell(queued("a"))
    assert {one.id for one in history.jobs.find().jobs} == {"a", "b"}
