"""A history on each of its databases, empty."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgres import PostgresServer
from umbel.monitor.history import History
from umbel.monitor.tables import METADATA, NUMBERS


@pytest.fixture
def new_database(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Make a new database, ``sqlite`` or ``postgresql``, and return its URL."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / secrets.token_hex(4)}.db"
        made: str = request.getfixturevalue("new_on_server")()
        return made

    return make


@pytest.fixture(scope="session")
def new_on_server(postgres: PostgresServer) -> Callable[[], str]:
    """Make a new database on the server and return its URL."""

    def make() -> str:
        name = f"history_{secrets.token_hex(4)}"
        with psycopg.connect(postgres.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return postgres.url.rpartition("/")[0] + f"/{name}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def history_url(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    """The URL of a database in which there is nothing."""
    return new_database(request.param)


@pytest.fixture(scope="session")
def made_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables of a history."""
    path = tmp_path_factory.mktemp("history") / "history.db"
    History(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def made_server(new_on_server: Callable[[], str]) -> str:
    """A database on a server with the tables of a history."""
    url = new_on_server()
    History(url).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """A history in which there is nothing yet; making its tables takes longer than most tests."""
    if request.param == "sqlite":
        path = tmp_path / "history.db"
        shutil.copy(request.getfixturevalue("made_file"), path)
        opened = History(f"sqlite:///{path}")
    else:
        url = request.getfixturevalue("made_server")
        _empty(url)
        opened = History(url)
    try:
        yield opened
    finally:
        opened.close()


def _empty(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for name in METADATA.tables:
            if name != NUMBERS.name:
                # Of a few rows, which is faster than to truncate.
                connection.execute(f"DELETE FROM {name}".encode())
        connection.execute(f"UPDATE {NUMBERS.name} SET last = 0".encode())
