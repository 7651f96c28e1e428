"""What would break the promise silently is an error, or at least a word in the log (C12)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from tests.integration.outbox.shop import Base, Order, Shop
from tests.integration.worker.plant import until
from umbel import Settings, Umbel
from umbel.errors import ConfigurationError, DispatchError
from umbel.jobs.outbox_table import create_outbox


def test_without_the_database_of_the_relay_it_is_refused(shop: Shop) -> None:
    jobs = Umbel("shop", broker=shop.broker, settings=Settings(), set_as_current=False)
    with Session(shop.engine) as session, pytest.raises(ConfigurationError, match="UMBEL_DATABASE_URL"):
        jobs.in_transaction(session)


def test_another_database_than_the_relays_is_said(shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with Session(other) as session:
        shop.jobs.in_transaction(session)
    other.dispose()
    assert "does not look like the database of the session" in caplog.text


def test_a_broker_that_is_not_one_of_umbels_is_refused(shop: Shop) -> None:
    jobs = Umbel("shop", broker="memory://", settings=Settings(database_url=shop.database), set_as_current=False)
    with Session(shop.engine) as session, pytest.raises(ConfigurationError, match="engine of Umbel's"):
        jobs.in_transaction(session)


def test_a_database_in_memory_is_refused(shop: Shop) -> None:
    for engine in (create_engine("sqlite://"), create_engine("sqlite://", poolclass=StaticPool)):
        with Session(engine) as session, pytest.raises(ConfigurationError, match="in memory"):
            shop.jobs.in_transaction(session)
        engine.dispose()


def test_a_session_without_a_database_and_what_is_no_session_are_refused(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="no database for the table umbel_outbox"):
        shop.jobs.in_transaction(Session())
    with pytest.raises(ConfigurationError, match="not Engine"):
        shop.jobs.in_transaction(shop.engine)  # type: ignore[arg-type]


def test_an_engine_that_commits_each_statement_is_refused(shop: Shop) -> None:
    autocommit = shop.engine.execution_options(isolation_level="AUTOCOMMIT")
    with Session(autocommit) as session:
        with shop.jobs.in_transaction(session):
            shop.confirm.delay("a")
        with pytest.raises(DispatchError, match="commits each statement"):
            session.commit()
    assert shop.rows() == shop.queued() == 0


@pytest.mark.parametrize("place", ["sqlite-embedded"], indirect=True)
def test_an_engine_that_begins_by_itself_is_taken(shop: Shop) -> None:
    """SQLAlchemy's own recipe for SQLite looks like autocommit, and is not."""
    engine = create_engine(shop.database)
    event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with Session(engine) as session, session.begin(), shop.jobs.in_transaction(session):
        sent = shop.confirm.delay("a")
    until(lambda: shop.has(sent.id) and shop.rows() == 0, "the job is queued")
    engine.dispose()


def test_a_session_that_is_closed_without_commit_is_said(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with Session(shop.engine) as session, shop.jobs.in_transaction(session):
        session.add(Order(label="a"))
        shop.confirm.delay("a")
    assert "closed without commit or rollback" in caplog.text
    caplog.clear()
    with contextlib.suppress(ZeroDivisionError), Session(shop.engine) as session, shop.jobs.in_transaction(session):
        shop.confirm.delay("a")
        raise ZeroDivisionError
    with Session(shop.engine) as session, shop.jobs.in_transaction(session):
        shop.confirm.delay("a")
        session.rollback()
    assert not caplog.records
    assert shop.queued() == 0


def test_a_task_that_outlives_the_block_may_not_dispatch_in_it(shop: Shop) -> None:
    async def request() -> None:
        async with shop.async_engine() as engine:
            ended = asyncio.Event()

            async def later() -> None:
                await ended.wait()
                shop.confirm.delay("late")

            async with AsyncSession(engine) as session, session.begin(), shop.jobs.in_transaction(session):
                task = asyncio.create_task(later())
                await asyncio.sleep(0)
            ended.set()
            with pytest.raises(DispatchError, match="has ended"):
                await task

    asyncio.run(request())
    assert shop.rows() == shop.queued() == 0


def test_a_block_that_is_left_in_another_context_is_refused(shop: Shop) -> None:
    """As FastAPI does with a dependency that is a plain generator."""
    with Session(shop.engine) as session:
        block = shop.jobs.in_transaction(session)
        contextvars.copy_context().run(block.__enter__)
        with pytest.raises(ConfigurationError, match="another context"):
            block.__exit__(None, None, None)


def test_remote_control_in_a_block_is_not_held_back(shop: Shop) -> None:
    with Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
        assert shop.jobs.control.ping(timeout=0.1) == []
    assert shop.rows() == 0


def test_without_the_table_the_transaction_fails(place: tuple[str, str], new_database: Callable[[str], str]) -> None:
    shop = Shop(new_database(place[0].partition(":")[0].partition("+")[0]), place[1], make=False)
    try:
        Base.metadata.create_all(shop.engine)
        with pytest.raises(DBAPIError, match="umbel_outbox"):
            shop.order("a")
        assert shop.queued() == 0
        create_outbox(shop.engine)
        create_outbox(shop.engine)
        with shop.engine.begin() as connection:
            create_outbox(connection)
    finally:
        shop.close()


def test_an_error_after_the_commit_does_not_reach_the_caller(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from umbel.jobs.outbox_prompt import Prompt

    def broken(*_: Any) -> None:
        raise RuntimeError("no thread")

    monkeypatch.setattr(Prompt, "publish", broken)
    with caplog.at_level(logging.ERROR):
        shop.order("a")
    assert "wait in the outbox" in caplog.text
    assert shop.labels() == ["a"]
    assert shop.rows() == 1
