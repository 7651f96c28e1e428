"""'umbel outbox' and what 'umbel doctor' says of it (C12)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, insert, update

from tests.integration.cli.conftest import Cli, until
from umbel.engine.store import Outgoing
from umbel.jobs.outbox_table import TABLE, create_outbox
from umbel.testing.contract._suite import payload


@pytest.fixture
def database(shop: Cli) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{shop.folder / 'shop.db'}")
    yield engine
    engine.dispose()


def add(database: Engine, task_id: str, text: str | None = None) -> None:
    message = Outgoing("celery", text or payload(task_id), task_id)
    values = {"app": "shop", "task": "jobs.add", "task_id": task_id, "queue": message.queue, "priority": 0}
    with database.begin() as connection:
        connection.execute(insert(TABLE).values(**values, payload=message.payload))


def test_it_shows_publishes_and_retries(shop: Cli, database: Engine) -> None:
    place = {"UMBEL_DATABASE_URL": str(database.url)}
    create_outbox(database)
    assert shop.ok("outbox", "status", **place) == "0 waiting; 0 aside."
    add(database, "a")
    add(database, "bad", "{")
    assert "2 waiting, the oldest for" in shop.ok("outbox", "status", **place)
    done = shop.run("outbox", "relay", "--once", **place)
    assert done.returncode == 1
    assert done.stdout == "Published 1.\n"
    assert "1 could not be published" in done.stderr
    shown = json.loads(shop.ok("outbox", "status", "--json", **place))
    assert (shown["waiting"], shown["aside"]) == (0, 1)
    assert shown["rows_aside"][0]["job"] == "bad"
    assert "jobs.add" in shop.ok("outbox", "status", **place)
    assert shop.ok("outbox", "retry", str(shown["rows_aside"][0]["number"]), **place) == "1 waits again."
    assert json.loads(shop.ok("status", "--json"))["queues"][0]["ready"] == 1


def test_it_relays_until_it_is_told_to_stop(shop: Cli, database: Engine) -> None:
    create_outbox(database)
    running = shop.start("outbox", "relay", UMBEL_DATABASE_URL=str(database.url))
    add(database, "a")

    def empty() -> bool:
        with database.connect() as connection:
            return connection.execute(TABLE.select()).first() is None

    until(empty, "the relay has published the row")
    assert running.stop() == 0


def test_what_is_missing_is_said(shop: Cli, database: Engine) -> None:
    done = shop.run("outbox", "status")
    assert done.returncode == 78
    assert "UMBEL_DATABASE_URL" in done.stderr
    done = shop.run("outbox", "status", UMBEL_DATABASE_URL=str(database.url))
    assert done.returncode == 78
    assert "has no table umbel_outbox" in done.stderr
    away = "postgresql+psycopg://user:secret@127.0.0.1:1/shop"
    done = shop.run("outbox", "status", UMBEL_DATABASE_URL=away)
    assert done.returncode == 69
    assert "secret" not in done.stderr


def test_doctor_sees_what_nobody_relays(shop: Cli, database: Engine) -> None:
    create_outbox(database)

    def findings() -> dict[str, str]:
        done = shop.run("doctor", "--json", UMBEL_DATABASE_URL=str(database.url))
        return {one["level"]: one["text"] for one in json.loads(done.stdout)["findings"] if one["check"] == "outbox"}

    assert list(findings()) == ["ok"]
    add(database, "a")
    with database.begin() as connection:
        connection.execute(update(TABLE).values(created=TABLE.c.created - 120))
    assert "1 committed jobs wait" in findings()["problem"]
