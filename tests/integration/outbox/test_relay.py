"""What a process leaves in the outbox is published, once, whatever else goes wrong (C12)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from tests.integration.on_redis.server import Server
from tests.integration.outbox.shop import Order, Shop, no_prompt
from tests.integration.worker.plant import planted, until
from umbel import Settings, Umbel
from umbel.errors import StoreError
from umbel.jobs.outbox_relay import Relay, asking, run_relay
from umbel.jobs.outbox_rows import waiting
from umbel.jobs.outbox_table import TABLE, create_outbox


@pytest.fixture
def relay(shop: Shop) -> Iterator[Relay]:
    made = shop.relay()
    yield made
    made.close()


def leave(shop: Shop, *labels: str) -> None:
    """Commit orders as a process does that dies right after."""
    with no_prompt():
        for label in labels:
            shop.order(label)


def test_c12_what_is_left_is_published_once(shop: Shop, relay: Relay) -> None:
    leave(shop, "a", "b", "c")
    assert shop.queued() == 0
    assert relay.drain() == (3, 0)
    assert relay.drain() == (0, 0)
    assert shop.queued() == 3
    assert shop.rows() == 0


def test_c12_what_was_published_and_not_deleted_is_not_doubled(shop: Shop, relay: Relay) -> None:
    leave(shop, "a", "b")
    with relay.database.connect() as connection:
        rows = waiting(connection, "shop", 10, 0.0)
    relay._post.send(rows[:1])
    assert relay.drain() == (2, 0)
    assert shop.queued() == 2


def test_c12_a_job_that_has_run_meanwhile_is_not_queued_again(shop: Shop, relay: Relay) -> None:
    """Published, not deleted, run, and only then published again: its result tells."""
    leave(shop, "a")
    with relay.database.connect() as connection:
        rows = waiting(connection, "shop", 10, 0.0)
    relay._post.send(rows)
    run_all(shop, 1)
    assert relay.drain() == (1, 0)
    assert shop.queued() == 0


def run_all(shop: Shop, count: int) -> None:
    """Let a worker in this process run what is queued."""
    from umbel.engine.store import Record, Settled

    engine = shop.jobs.engine
    engine.open_lease("test", ["celery"], 1)
    found = engine.fetch({"celery": 0}, count)
    assert len(found) == count
    meta = '{"status": "SUCCESS", "result": null}'
    ends = [Record(str(one.task_id), "SUCCESS", True, meta, expires=time.time() + 60) for one in found]
    engine.settle([Settled(one.seq, "ack", records=[end]) for one, end in zip(found, ends, strict=True)])
    engine.close_lease()


def test_rows_are_published_in_their_order(shop: Shop, relay: Relay) -> None:
    labels = [f"{number:03}" for number in range(250)]
    leave(shop, *labels)
    assert relay.publish(age=0.0) == (100, 0)
    assert relay.drain() == (150, 0)
    engine = shop.jobs.engine
    engine.open_lease("test", ["celery"], 1)
    assert [one.task_id for one in engine.fetch({"celery": 0}, 1000)] == labels
    engine.close_lease()


def test_young_rows_are_left_to_who_committed_them(shop: Shop, relay: Relay) -> None:
    leave(shop, "a")
    assert relay.publish(age=3600.0) == (0, 0)
    with shop.engine.begin() as connection:
        connection.execute(update(TABLE).values(created=TABLE.c.created - 7200))
    assert relay.publish(age=3600.0) == (1, 0)


def test_rows_of_another_application_are_left_alone(shop: Shop, relay: Relay) -> None:
    leave(shop, "a")
    with shop.engine.begin() as connection:
        connection.execute(update(TABLE).values(app="other"))
    assert relay.drain() == (0, 0)
    assert relay.counts().waiting == 0
    assert shop.rows() == 1


def test_a_poisoned_row_stands_aside_and_blocks_nobody(
    shop: Shop, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    leave(shop, "a")
    values = {"app": "shop", "task": "shop.bad", "queue": "celery", "priority": 0}
    with shop.engine.begin() as connection:
        connection.execute(insert(TABLE).values(**values, task_id="bad", payload="{not json"))
    leave(shop, "b")
    assert relay.drain() == (2, 1)
    assert "shop.bad[bad]" in caplog.text
    counts = relay.counts()
    assert (counts.waiting, counts.aside) == (0, 1)
    ((number, task, job, _, error),) = relay.aside(10)
    assert (task, job) == ("shop.bad", "bad")
    assert "not JSON" in error
    assert relay.retry((number,)) == 1
    assert relay.drain() == (0, 1)
    assert relay.retry(()) == 1
    assert shop.queued() == 2


def test_a_message_that_the_engine_refuses_stands_aside(
    shop: Shop, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue = shop.jobs.engine.enqueue

    def picky(messages: Any) -> int:
        if any(one.task_id == "bad" for one in messages):
            raise OverflowError("too much of it")
        return enqueue(messages)

    monkeypatch.setattr(shop.jobs.engine, "enqueue", picky)
    leave(shop, "a", "bad", "b")
    assert relay.drain() == (2, 1)
    assert relay.aside(10)[0][4] == "OverflowError: too much of it"
    assert shop.queued() == 2


def test_several_relays_double_nothing(shop: Shop) -> None:
    labels = [f"{number}" for number in range(300)]
    leave(shop, *labels)
    relays = [shop.relay() for _ in range(4)]
    errors: list[BaseException] = []

    def work(relay: Relay) -> None:
        try:
            while shop.rows():
                relay.publish(age=0.0)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(relay,)) for relay in relays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for relay in relays:
        relay.close()
    assert not errors
    assert shop.queued() == 300


def test_the_relay_waits_for_its_table(place: tuple[str, str], open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(make=False)
    relay = shop.relay()
    assert not relay.is_there()
    create_outbox(shop.engine)
    assert relay.is_there()
    with asking(relay):
        assert relay.counts().waiting == 0
    relay.close()


def test_c12_the_broker_is_away_at_the_time_of_the_commit(
    tmp_path: Path, new_database: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing asks it, from the first dispatch of the process on, and the job is published when it is back."""
    with Server(tmp_path / "redis") as server:
        shop = Shop(new_database("postgresql"), server.url)
        try:
            fresh = Shop(shop.database, server.url, make=False)
            server.kill()
            with Session(fresh.engine) as session, session.begin(), fresh.jobs.in_transaction(session):
                session.add(Order(label="a"))
                fresh.confirm.apply_async(("a",), task_id="a")
                fresh.confirm.apply_async(("b",), task_id="b", link=fresh.confirm.si("c"), queue="other")
            until(lambda: "wait in the outbox" in caplog.text, "the fast way has given up")
            assert shop.rows() == 2
            stop = threading.Event()
            thread = threading.Thread(target=run_relay, args=(fresh.relay(), stop))
            thread.start()
            until(lambda: "cannot publish" in caplog.text, "the relay has tried")
            server.start()
            until(lambda: shop.rows() == 0, "the relay has published")
            stop.set()
            thread.join(60)
            assert shop.has("a")
            assert shop.has("b")
            assert shop.queued() == 2
            fresh.close()
        finally:
            shop.close()


def test_c12_a_worker_relays_what_is_left(place: tuple[str, str], tmp_path: Path) -> None:
    """The supervisor of ``umbel worker`` publishes, with nothing to configure but the database."""
    database, broker = place
    with planted(tmp_path, broker) as plant:
        shop = Shop(database, plant.url)
        jobs = Umbel("plant", broker=plant.url, settings=Settings(database_url=database), set_as_current=False)
        with no_prompt(), Session(shop.engine) as session, session.begin(), jobs.in_transaction(session):
            jobs.send_task(plant.task("say"), ("hello",))
        assert shop.queued() == 0
        worker = plant.start(UMBEL_DATABASE_URL=database)
        plant.until_told("say", "hello")
        until(lambda: shop.rows() == 0, "the row is deleted")
        assert worker.stop() == 0
        assert len(plant.lines("say", "hello")) == 1
        shop.close()


def test_the_engines_trouble_is_not_a_rows(shop: Shop, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(messages: Any) -> int:
        raise StoreError("there", "It is full.")

    monkeypatch.setattr(shop.jobs.engine, "enqueue", full)
    leave(shop, "a")
    with pytest.raises(StoreError, match="full"):
        relay.drain()
    assert relay.counts().waiting == 1
