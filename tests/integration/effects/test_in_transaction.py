"""C32: an effect in one transaction with its key, on SQLite and PostgreSQL, sync and async."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.integration.effects.bank import Bank
from umbel.errors import ConfigurationError
from umbel.jobs.database_effects_table import EFFECTS

THREADS = 50


@pytest.fixture(params=["sqlite", "postgresql"])
def bank(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Iterator[Bank]:
    database = None
    if request.param == "postgresql":
        server, name = str(request.getfixturevalue("postgres_server")), f"bank_{secrets.token_hex(4)}"
        with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        database = server.rpartition("/")[0] + f"/{name}"
    made = Bank(url, tmp_path, database=database)
    made.make_tables()
    yield made
    made.close()


def insert(label: str) -> Any:
    return text("INSERT INTO invoice (label) VALUES (:label)").bindparams(label=label)


def write(bank: Bank, key: str, label: str) -> Any:
    with bank.jobs.session.begin() as session, bank.jobs.idempotent(key, session=session) as effect:
        if not effect.done:
            session.execute(insert(label))
            effect.result = label
    return effect.result


def write_and_fail(bank: Bank, session: Session) -> None:
    with bank.jobs.idempotent("a", session=session) as effect:
        assert not effect.done
        session.execute(insert("lost"))
        raise ZeroDivisionError


def end_inside(bank: Bank, end: str) -> None:
    with bank.jobs.session.begin() as session, bank.jobs.idempotent("a", session=session) as effect:
        assert not effect.done
        session.execute(insert("lost"))
        getattr(session, end)()


def test_c32_key_and_effect_are_committed_together(bank: Bank) -> None:
    assert [write(bank, "a", label) for label in ("one", "two")] == ["one", "one"]

    async def awrite(key: str, label: str) -> Any:
        async with bank.jobs.async_session.begin() as session, bank.jobs.idempotent(key, session=session) as effect:
            if not effect.done:
                await session.execute(insert(label))
                effect.complete(label)
        return effect.result

    async def both() -> list[Any]:
        found = [await awrite("a", "three"), await awrite("b", "four"), await awrite("b", "five")]
        await asyncio.to_thread(bank.jobs.close_databases)
        return found

    assert asyncio.run(both()) == ["one", "four", "four"]
    assert bank.invoices() == ["four", "one"]


def test_c32_an_exception_takes_both_back_and_the_transaction_goes_on(bank: Bank) -> None:
    with bank.jobs.session.begin() as session:
        session.execute(insert("before"))
        with pytest.raises(ZeroDivisionError):
            write_and_fail(bank, session)
        session.execute(insert("after"))
    assert bank.invoices() == ["after", "before"]
    assert write(bank, "a", "next") == "next"


def test_c32_a_rollback_takes_both_back(bank: Bank) -> None:
    with bank.jobs.session() as session:
        with bank.jobs.idempotent("a", session=session) as effect:
            assert not effect.done
            session.execute(insert("lost"))
        session.rollback()
    assert bank.invoices() == []
    assert write(bank, "a", "next") == "next"


def test_c32_a_flush_that_fails_at_the_end_gives_the_key_back(bank: Bank) -> None:
    with bank.jobs.session.begin() as session:
        session.execute(text("CREATE UNIQUE INDEX one_label ON invoice (label)"))
        session.execute(insert("a"))
    with bank.jobs.session.begin() as session:
        with pytest.raises(IntegrityError), bank.jobs.idempotent("a", session=session):
            session.execute(insert("a"))
        session.execute(insert("b"))
    assert write(bank, "a", "c") == "c"
    assert bank.invoices() == ["a", "b", "c"]


def test_c32_a_commit_inside_is_refused(bank: Bank) -> None:
    with pytest.raises(ConfigurationError, match="leave the commit"):
        end_inside(bank, "commit")
    with pytest.raises(ConfigurationError, match="rolled back inside"):
        end_inside(bank, "rollback")
    assert bank.invoices() == []
    assert write(bank, "a", "next") == "next"


def test_c32_savepoints_inside_are_the_blocks_own(bank: Bank) -> None:
    with bank.jobs.session.begin() as session, bank.jobs.idempotent("a", session=session) as effect:
        assert not effect.done
        with session.begin_nested():
            session.execute(insert("kept"))
        lost = session.begin_nested()
        session.execute(insert("lost"))
        lost.rollback()
    assert bank.invoices() == ["kept"]


def test_c32_of_fifty_threads_one_writes_and_all_get_its_result(bank: Bank) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        found = set(threads.map(lambda number: write(bank, "a", f"t{number}"), range(THREADS)))
    assert found == set(bank.invoices())
    assert len(found) == 1


def test_c32_a_result_is_kept_for_its_time_and_then_dropped(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbel.jobs.database_effects._SWEEPS", 1)
    for key in "abc":
        write(bank, key, key)
    with bank.jobs.session.begin() as session:
        session.execute(update(EFFECTS).where(EFFECTS.c.name != "named:c").values(expires=0.0))
    assert write(bank, "a", "again") == "again"
    with bank.jobs.session() as session:
        assert session.scalar(select(func.count()).select_from(EFFECTS)) == 2
    assert bank.invoices() == ["a", "again", "b", "c"]


def test_c32_where_each_statement_is_committed_it_is_refused(bank: Bank) -> None:
    engine = create_engine(bank.jobs._databases.engine().url, isolation_level="AUTOCOMMIT")
    with Session(engine) as session, pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
        bank.jobs.idempotent("a", session=session).__enter__()
    engine.dispose()
    assert write(bank, "a", "next") == "next"


def test_c32_what_does_not_fit_is_refused(bank: Bank) -> None:
    with pytest.raises(ConfigurationError, match="not str"):
        bank.jobs.idempotent("a", session="x")  # type: ignore[call-overload]
    with bank.jobs.session() as session:
        block = bank.jobs.idempotent("a", session=session)
        with pytest.raises(ConfigurationError, match="if not effect.done"), block:
            pass


def test_c32_a_declared_job_is_one_with_its_key(bank: Bank) -> None:
    """The coroutines are those of the kill points, whose loops end with their processes."""
    assert [bank.work("invoice", task_id, "a") for task_id in ("1", "2")] == [("SUCCESS", "charged a")] * 2
    assert bank.invoices() == ["a"]
