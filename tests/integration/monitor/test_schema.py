"""The tables of the history: what the migrations make is what the code knows, whoever runs them, and nothing newer."""

from __future__ import annotations

import importlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from tests.integration.monitor.events import Recorder, ended, failure
from tests.integration.monitor.tally import tally_is_right
from umbel.errors import StoreTooNew, StoreUnreachable
from umbel.monitor.database import Database, history_address
from umbel.monitor.history import History
from umbel.monitor.migrations import HEAD
from umbel.monitor.schema import differences
from umbel.monitor.tables import FAILURES, METADATA, VERSION_TABLE

_OPEN = "import sys; from umbel.monitor.history import History; sys.stdin.read(1); History(sys.argv[1]).close()"


def test_migrations_make_what_the_tables_say(history_url: str) -> None:
    history = History(history_url)
    with history.database.reading() as connection:
        assert differences(connection) == []
        inspector = inspect(connection)
        for table in METADATA.tables.values():
            indexes = inspector.get_indexes(table.name)
            found = {str(one["name"]) for one in indexes if "duplicates_constraint" not in one}
            assert found == {one.name for one in table.indexes}, "Alembic does not compare all that an index is"
    history.close()


def test_a_column_more_would_be_noticed(history_url: str) -> None:
    history = History(history_url)
    history.database.write(lambda one: one.execute(text("ALTER TABLE umbel_jobs ADD COLUMN other INTEGER")))
    with history.database.reading() as connection:
        assert "other" in str(differences(connection))
    history.close()


def test_tables_of_the_application_are_left_alone(history_url: str) -> None:
    first = Database(history_address(history_url, Path()))
    first.write(lambda one: one.execute(text("CREATE TABLE umbel_outbox (id INTEGER)")))
    first.close()
    history = History(history_url)
    with history.database.reading() as connection:
        assert differences(connection) == []
        assert inspect(connection).has_table("umbel_outbox")
    history.close()


def test_the_last_step_is_the_head() -> None:
    steps = Path(importlib.import_module("umbel.monitor.migrations.versions").__path__[0]).glob("v*.py")
    revisions = [importlib.import_module(f"umbel.monitor.migrations.versions.{step.stem}").revision for step in steps]
    assert max(revisions) == HEAD


def test_failures_of_an_older_one_are_counted(history_url: str) -> None:
    history = History(history_url)
    failures = [ended(f"job-{number}", "FAILURE", document=failure("x", "KeyError")) for number in range(3)]
    Recorder(history).tell(*failures, ended("good"), ended("other", "FAILURE"))
    history.database.write(lambda one: one.execute(text(f"DROP TABLE {FAILURES.name}")))
    history.database.write(lambda one: one.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0008'")))
    history.close()
    history = History(history_url)
    assert tally_is_right(history)
    assert sorted(one.jobs for one in history.failures.find()) == [1, 3]
    history.close()


def test_several_processes_open_a_new_one_at_once(history_url: str) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, history_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for one in started:
        assert one.stdin is not None
        one.stdin.write("g")
        one.stdin.flush()
    for one in started:
        _, errors = one.communicate(timeout=100)
        assert one.returncode == 0, errors
    history = History(history_url)
    with history.database.reading() as connection:
        assert differences(connection) == []
    history.close()


def test_a_newer_one_is_refused_and_left_alone(history_url: str) -> None:
    history = History(history_url)
    history.database.write(lambda one: one.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")))
    with pytest.raises(StoreTooNew, match=rf"schema 9999 .* knows up to {int(HEAD)}: upgrade Umbel here"):
        History(history_url)
    with history.database.reading() as connection:
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"
    history.close()


def test_a_server_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a network that is cut. Two seconds is the least that the driver knows."""
    monkeypatch.setattr("umbel.monitor.database._CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreUnreachable, match="timeout"):
        History(f"postgresql://ann@127.0.0.1:{silent.getsockname()[1]}/history")
