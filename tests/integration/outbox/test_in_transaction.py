"""A job is queued if and only if its transaction commits (C12), whichever way it is dispatched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from celery import chain, chord, group
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from tests.integration.outbox.shop import Order, Shop, no_prompt
from tests.integration.worker.plant import until
from umbel.engine import envelope
from umbel.engine.keyring import Keyring
from umbel.jobs.outbox_rows import waiting
from umbel.jobs.outbox_table import TABLE


def published(shop: Shop, *ids: str) -> bool:
    return all(map(shop.has, ids)) and shop.rows() == 0


def test_c12_a_job_is_queued_when_its_transaction_has_committed(shop: Shop) -> None:
    with Session(shop.engine) as session, session.begin():
        with shop.jobs.in_transaction(session):
            session.add(Order(label="a"))
            sent = shop.confirm.delay("a")
        session.flush()
        assert not shop.has(sent.id)
    until(lambda: published(shop, sent.id), "the job is queued and its row deleted")
    assert shop.labels() == ["a"]
    assert shop.queued() == 1


def test_c12_nothing_is_queued_when_it_rolls_back(shop: Shop) -> None:
    with suppress(ZeroDivisionError), Session(shop.engine) as session, session.begin():
        with shop.jobs.in_transaction(session):
            shop.confirm.delay("a")
            session.flush()
        raise ZeroDivisionError
    shop.order("b")
    until(lambda: published(shop, "b"), "the next one's job is queued")
    assert shop.queued() == 1


def test_c12_a_rolled_back_savepoint_takes_its_jobs_with_it(shop: Shop) -> None:
    with Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
        session.add(Order(label="kept"))
        before = shop.confirm.delay("before")
        for flushed in (False, True):
            savepoint = session.begin_nested()
            lost = shop.confirm.delay("lost")
            if flushed:
                session.flush()
            savepoint.rollback()
        with session.begin_nested():
            inside = shop.confirm.delay("inside")
        after = shop.confirm.delay("after")
    until(lambda: published(shop, before.id, inside.id, after.id), "the three are queued")
    assert not shop.has(lost.id)
    assert shop.queued() == 3


def test_c12_a_commit_within_the_block_counts_for_what_was_dispatched_before(shop: Shop) -> None:
    with Session(shop.engine) as session, shop.jobs.in_transaction(session):
        first = shop.confirm.delay("first")
        session.commit()
        until(lambda: published(shop, first.id), "the first is queued")
        second = shop.confirm.delay("second")
        session.rollback()
        third = shop.confirm.delay("third")
        session.commit()
    until(lambda: published(shop, third.id), "the third is queued")
    assert not shop.has(second.id)


@pytest.mark.parametrize("way", ["flush", "query", "expunge"])
def test_c12_whatever_writes_the_row_early(shop: Shop, way: str) -> None:
    with Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
        sent = shop.confirm.delay("a")
        if way == "query":
            session.query(Order).all()
        else:
            session.flush()
        if way == "expunge":
            session.expunge_all()
    until(lambda: published(shop, sent.id), "the job is queued")


def test_c12_every_way_to_dispatch_goes_into_the_transaction(shop: Shop) -> None:
    confirm = shop.confirm
    with Session(shop.engine) as session, session.begin():
        with shop.jobs.in_transaction(session):
            confirm.delay("delay")
            confirm.apply_async(("later",), countdown=3600)
            confirm.apply_async(("linked",), link=confirm.s(), priority=3, queue="other")
            shop.jobs.send_task("elsewhere.do", ("named",))
            many = confirm.enqueue_many(f"many-{number}" for number in range(700))
            group(confirm.s("g1"), confirm.s("g2")).apply_async()
            chain(confirm.s("c1"), confirm.si("c2")).apply_async()
            chord([confirm.s("h1"), confirm.s("h2")], confirm.si("body")).apply_async()
        assert shop.queued() == 0
    until(lambda: shop.rows() == 0, "all are published")
    assert len(list(many)) == 700
    assert shop.queued() == 4 + 700 + 2 + 1 + 2


def test_c12_after_the_block_dispatches_go_out_at_once_again(shop: Shop) -> None:
    with Session(shop.engine) as session, session.begin():
        with shop.jobs.in_transaction(session):
            pass
        assert shop.has(shop.confirm.delay("now").id)


def test_the_envelope_is_a_usual_dispatchs(shop: Shop) -> None:
    """The worker must not be able to tell, but by the mark that it is not to be queued twice."""
    options: list[dict[str, Any]] = [
        {},
        {"priority": 5},
        {"expires": 600},
        {"countdown": 60},
        {"link": shop.confirm.s()},
    ]
    with no_prompt(), Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
        for number, option in enumerate(options):
            shop.confirm.apply_async(("x",), task_id=f"in-{number}", **option)
    with shop.engine.connect() as connection:
        rows = waiting(connection, "shop", 100, 0.0)
    collected: list[Any] = []
    from umbel.engine.collecting import publishing_into

    with publishing_into(collected):
        for number, option in enumerate(options):
            shop.confirm.apply_async(("x",), task_id=f"in-{number}", **option)
    assert len(rows) == len(collected) == len(options)
    for row, usual in zip(rows, collected, strict=True):
        mine, theirs = envelope.decode(row.message.payload), envelope.decode(usual.payload)
        assert mine["headers"].pop("umbel_once") is True
        for one in (mine, theirs):
            one["properties"].pop("delivery_tag")
            for name in ("eta", "expires"):
                one["headers"][name] = one["headers"][name] is not None
        assert mine == theirs
        assert (row.message.queue, row.message.priority) == (usual.queue, usual.priority)
        assert (row.message.due is None) == (usual.due is None)


def test_c30_a_unique_job_stays_unique(shop: Shop) -> None:
    @shop.jobs.task(name="shop.once", shared=False, unique=True)
    def once(label: str) -> str:
        return label

    first = once.delay("a")
    with Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
        again = once.delay("a")
        other = once.delay("b")
        twin = once.delay("b")
    until(lambda: shop.rows() == 0, "all are published")
    assert [shop.has(one.id) for one in (first, again, other, twin)] == [True, False, True, False]


def test_c43_what_is_sensitive_is_not_readable_in_the_outbox(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(payload_keys=Keyring.fresh("first"))

    @shop.jobs.task(name="shop.charge", shared=False, sensitive=("token",))
    def charge(token: str) -> None:
        """Never run."""

    with no_prompt(), Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
        sent = charge.delay(token="4111-1111")
    with shop.engine.connect() as connection:
        (row,) = connection.execute(TABLE.select()).all()
    assert "4111" not in str(row)
    relay = shop.relay()
    assert relay.drain() == (1, 0)
    relay.close()
    assert shop.has(sent.id)


# -- async ----------------------------------------------------------------------------------------------------


def test_c12_with_an_async_session(shop: Shop) -> None:
    async def buy() -> tuple[str, str, str]:
        async with shop.async_engine() as engine:
            async with AsyncSession(engine) as session, session.begin(), shop.jobs.in_transaction(session):
                session.add(Order(label="a"))
                first = await shop.confirm.adelay("a")
                second = shop.aconfirm.delay("a")
            async with AsyncSession(engine) as session:
                async with shop.jobs.in_transaction(session):
                    lost = await shop.confirm.adelay("b")
                    await session.flush()
                await session.rollback()
            await _until(lambda: published(shop, first.id, second.id))
            return first.id, second.id, lost.id

    *kept, lost = asyncio.run(buy())
    assert all(map(shop.has, kept))
    assert not shop.has(lost)
    assert shop.queued() == 2


def test_c12_concurrent_requests_do_not_mix(shop: Shop) -> None:
    """Each task has its own block, and what is dispatched outside of any goes out at once."""

    async def buy(number: int, engine: Any) -> str:
        async with AsyncSession(engine) as session:
            async with shop.jobs.in_transaction(session):
                sent = await shop.confirm.adelay(f"{number}")
                await asyncio.sleep(0)
                await session.flush()
            await (session.commit() if number % 2 else session.rollback())
        return sent.id

    async def all_of_them() -> list[str]:
        async with shop.async_engine() as engine:
            ids = []
            # SQLite lets one write at a time; what must not mix is the dispatches, not the writers.
            step = 1 if shop.database.startswith("sqlite") else 5
            for start in range(0, 10, step):
                ids += await asyncio.gather(*(buy(number, engine) for number in range(start, start + step)))
            await _until(lambda: published(shop, *ids[1::2]))
            return ids

    ids = asyncio.run(all_of_them())
    assert [shop.has(task_id) for task_id in ids] == [False, True] * 5


async def _until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)


def test_a_scoped_session_is_its_session(shop: Shop) -> None:
    factory = scoped_session(sessionmaker(shop.engine))
    with shop.jobs.in_transaction(factory):
        sent = shop.confirm.delay("a")
    factory.commit()
    factory.remove()
    until(lambda: published(shop, sent.id), "the job is queued")
