"""A shop on each pair of database and broker that is used together."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import _state

from tests.integration.outbox.shop import Shop

_PAIRS = ("sqlite-embedded", "postgresql-redis")


@pytest.fixture(autouse=True)
def _own_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery gives an application's tasks to all others of the process: here each test has its own."""
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))


@pytest.fixture
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Make an empty database, ``sqlite`` or ``postgresql``, and return its URL."""

    def make(kind: str) -> str:
        name = f"shop_{secrets.token_hex(4)}"
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / name}.db"
        server = str(request.getfixturevalue("postgres_server"))
        with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return server.rpartition("/")[0] + f"/{name}"

    return make


@pytest.fixture(params=_PAIRS)
def place(request: pytest.FixtureRequest, tmp_path: Path, new_database: Callable[[str], str]) -> tuple[str, str]:
    """The URLs of a database and a broker."""
    kind, _, broker = request.param.partition("-")
    url = request.getfixturevalue("redis_url") if broker == "redis" else f"sqlite:///{tmp_path / 'jobs.db'}"
    return new_database(kind), url


@pytest.fixture
def open_shop(place: tuple[str, str]) -> Iterator[Callable[..., Shop]]:
    """Open shops at one place; all are closed after the test."""
    shops: list[Shop] = []

    def make(**options: Any) -> Shop:
        shops.append(Shop(*place, **options))
        return shops[-1]

    yield make
    for shop in shops:
        shop.close()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    return open_shop()
