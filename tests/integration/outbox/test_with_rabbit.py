"""Transactional dispatch with RabbitMQ (C12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain
from kombu import Exchange, Queue
from sqlalchemy.orm import Session

from tests.integration.outbox.shop import Order, Shop, no_prompt
from tests.integration.worker.plant import until
from umbel.jobs.outbox_rows import waiting


@pytest.fixture
def shop(rabbit_url: str, redis_url: str, new_database: Callable[[str], str]) -> Iterator[Shop]:
    made = Shop(new_database("sqlite"), rabbit_url, state_url=redis_url)
    made.jobs.conf.task_queues = [
        Queue("celery", Exchange("celery"), routing_key="celery"),
        Queue("video", Exchange("media", type="topic"), routing_key="media.video.#"),
    ]
    with made.jobs.connection_for_write() as connection:
        # The other queue is made by whoever publishes the first job.
        made.jobs.amqp.queues["video"](connection.default_channel).declare()
    yield made
    made.close()


def test_c12_every_form_arrives_once(shop: Shop) -> None:
    confirm = shop.confirm
    with Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
        session.add(Order(label="a"))
        confirm.delay("plain")
        confirm.apply_async(("linked",), link=confirm.si("then"))
        chain(confirm.s("first"), confirm.s()).apply_async()
        confirm.apply_async(("routed",), queue="video", routing_key="media.video.short")
        lost = session.begin_nested()
        confirm.delay("lost")
        lost.rollback()
    until(lambda: shop.rows() == 0, "all are published")
    # A topic's job stands at the state store under its routing key; the broker knows its queue.
    post: Any = shop.jobs.engine.post  # type: ignore[attr-defined]
    until(
        lambda: (
            {name: ready for name, (ready, _) in post.sizes(["celery", "video"]).items()} == {"celery": 3, "video": 1}
        ),
        "the four have arrived",
    )


def test_c12_what_is_relayed_twice_has_one_key(shop: Shop) -> None:
    """RabbitMQ has both messages; a worker claims the key, and runs one."""
    with no_prompt():
        shop.order("a")
    relay = shop.relay()
    with relay.database.connect() as connection:
        rows = waiting(connection, "shop", 10, 0.0)
    relay._post.send(rows)
    assert relay.drain() == (1, 0)
    relay.close()
    post: Any = shop.jobs.engine.post  # type: ignore[attr-defined]
    until(lambda: post.sizes(["celery"])["celery"][0] == 2, "both have arrived")
    keys = {message.properties["message_id"] for message in post.take("celery", 2)}
    assert len(keys) == 1
