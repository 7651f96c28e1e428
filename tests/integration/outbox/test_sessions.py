"""Sessions in plain code: whose they are, how they end, and that no engine crosses a fork."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.integration.outbox.shop import Order, Shop
from umbel import Settings, Umbel
from umbel.errors import ConfigurationError
from umbel.jobs.database_url import asynchronous, is_same_database, synchronous


@pytest.fixture
def pool(shop: Shop) -> Any:
    return shop.jobs._databases.engine().pool


def test_what_is_not_committed_is_rolled_back(shop: Shop, pool: Any) -> None:
    with shop.jobs.session() as session:
        session.add(Order(label="lost"))
        session.flush()
    with shop.jobs.session() as session:
        session.add(Order(label="kept"))
        session.commit()
    with shop.jobs.session.begin() as session:
        session.add(Order(label="committed"))
    with pytest.raises(IntegrityError), shop.jobs.session.begin() as session:
        session.add(Order(label="kept"))
    with contextlib.suppress(ZeroDivisionError), shop.jobs.session.begin() as session:
        session.add(Order(label="failed"))
        session.flush()
        raise ZeroDivisionError
    assert shop.labels() == ["kept", "committed"]
    assert pool.checkedout() == 0
    assert pool.size() == shop.jobs.settings.concurrency


def test_an_inner_block_is_part_of_the_outer_one(shop: Shop, pool: Any) -> None:
    with shop.jobs.session() as outer:
        with shop.jobs.session.begin() as inner:
            assert inner is outer
            inner.add(Order(label="a"))
        assert pool.checkedout() <= 1
    assert shop.labels() == []


def test_a_savepoint_before_the_first_change_is_none_of_its_own(shop: Shop) -> None:
    """Python's driver for SQLite would commit with it."""
    with shop.jobs.session() as session:
        with session.begin_nested():
            session.add(Order(label="a"))
        session.rollback()
    assert shop.labels() == []


def test_async_sessions(shop: Shop) -> None:
    async def work() -> None:
        async with shop.jobs.async_session.begin() as session:
            async with shop.jobs.async_session() as inner:
                assert inner is session
            session.add(Order(label="a"))
        with contextlib.suppress(ZeroDivisionError):
            async with shop.jobs.async_session.begin() as session:
                session.add(Order(label="lost"))
                await session.flush()
                raise ZeroDivisionError
        async with shop.jobs.async_session() as session:
            sessions = await asyncio.gather(child(), child())
            assert len({id(session), *map(id, sessions)}) == 3
        pool: Any = shop.jobs._databases.async_engine().pool
        assert pool.checkedout() == 0
        await asyncio.to_thread(shop.jobs.close_databases)

    async def child() -> Any:
        async with shop.jobs.async_session() as session:
            await session.execute(text("SELECT 1"))
            return session

    asyncio.run(work())
    assert shop.labels() == ["a"]


def test_a_cancelled_task_gives_its_connection_back(shop: Shop) -> None:
    async def work() -> None:
        async def hold() -> None:
            async with shop.jobs.async_session() as session:
                session.add(Order(label="lost"))
                await session.flush()
                await asyncio.Event().wait()

        pool: Any = shop.jobs._databases.async_engine().pool
        task = asyncio.create_task(hold())
        async with asyncio.timeout(60):
            while not pool.checkedout():
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.checkedout() == 0
        await asyncio.to_thread(shop.jobs.close_databases)

    asyncio.run(work())
    assert shop.labels() == []


def test_sessions_and_dispatch_in_one_transaction(shop: Shop) -> None:
    from tests.integration.worker.plant import until

    with shop.jobs.session.begin() as session, shop.jobs.in_transaction(session):
        session.add(Order(label="a"))
        sent = shop.confirm.delay("a")
    until(lambda: shop.has(sent.id) and shop.rows() == 0, "the job is queued")


_FORKED = """
import os, sys
from sqlalchemy import text
from umbel import Settings, Umbel

jobs = Umbel("shop", settings=Settings(database_url=sys.argv[1]))
def number():
    with jobs.session() as session:
        return id(session.connection().connection.dbapi_connection), session.scalar(text(sys.argv[2]))
mine = number()
pid = os.fork()
if pid == 0:
    theirs = number()
    os._exit(0 if theirs[0] != mine[0] and theirs[1] != mine[1] else 3)
_, status = os.waitpid(pid, 0)
assert number() == mine, "the parent's connection has suffered"
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_fork_gets_an_engine_of_its_own(new_database: Callable[[str], str], tmp_path: Path) -> None:
    """By the server's word: another session."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _FORKED, new_database("postgresql"), "SELECT pg_backend_pid()"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def bare() -> Iterator[Umbel]:
    app = Umbel("bare", broker="memory://", settings=Settings(), set_as_current=False)
    yield app
    app.close()


def test_without_a_database_it_says_which_setting_is_missing(bare: Umbel) -> None:
    with pytest.raises(ConfigurationError, match="UMBEL_DATABASE_URL"), bare.session():
        pass


@pytest.mark.parametrize(
    ("url", "sync", "other"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:***@h/d", "postgresql+psycopg://u:***@h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+psycopg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2://h/d", "postgresql+psycopg://h/d"),
        ("sqlite+aiosqlite:///a.db", "sqlite:///a.db", "sqlite+aiosqlite:///a.db"),
        ("sqlite:////a.db", "sqlite:////a.db", "sqlite+aiosqlite:////a.db"),
    ],
)
def test_one_url_serves_both_kinds_of_engines(url: str, sync: str, other: str) -> None:
    assert str(synchronous(url)) == sync
    assert str(asynchronous(url)) == other
    assert is_same_database(url, synchronous(url))


@pytest.mark.parametrize("url", ["mysql://h/d", "nonsense"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="UMBEL_DATABASE_URL"):
        synchronous(url)


@pytest.mark.parametrize(
    ("what", "without"),
    [
        ("umbel.app", {"sqlalchemy"}),
        # It runs in the supervisor, which stays small.
        ("umbel.jobs.outbox_relay", {"celery", "sqlalchemy.orm"}),
        ("umbel.jobs.outbox_companion", {"celery", "sqlalchemy"}),
    ],
)
def test_what_is_imported_with_it(what: str, without: set[str], tmp_path: Path) -> None:
    code = f"import sys, {what}; sys.exit(bool({without!r} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=False).returncode == 0
