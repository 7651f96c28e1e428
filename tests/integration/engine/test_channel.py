"""Kombu's idioms on the embedded engine, without a worker: publish, consume, acknowledge, fan out (C5, C45)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue

from umbel.app import Umbel  # the import makes sqlite: URLs known to Kombu
from umbel.engine.sqlite import SQLiteEngine

assert Umbel


@pytest.fixture
def connection(url: str, engine: SQLiteEngine) -> Iterator[Connection]:
    with Connection(url) as connection:
        yield connection
    engine.close_lease()


def heard(connection: Connection, *queues: Queue, count: int = 1, **how: Any) -> list[Any]:
    """Consume until so many messages have come, or a second without any has passed."""
    messages: list[Any] = []

    def on_message(message: Any) -> None:
        messages.append(message)

    with Consumer(connection.channel(), list(queues), on_message=on_message, accept=["json"], **how):
        while len(messages) < count:
            try:
                connection.drain_events(timeout=5)
            except TimeoutError:
                break
    return messages


@pytest.mark.parametrize(
    "value",
    [
        "käse ☃ 𝄞",
        [1, 2.5, None, True, {"deep": [[]]}],
        {"when": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), "id": uuid.UUID(int=7), "sum": Decimal("1.10")},
        2**70,
    ],
)
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_c5_a_body_comes_back_as_it_was(connection: Connection, value: Any, compression: str | None) -> None:
    queue = Queue("email", Exchange("email"), routing_key="email")
    producer = Producer(connection.channel(), serializer="json")
    producer.publish(
        value, exchange=queue.exchange, routing_key="email", declare=[queue], headers={"x": 1}, compression=compression
    )
    (message,) = heard(connection, queue)
    assert message.payload == value
    assert message.headers["x"] == 1
    message.ack()


def test_an_acknowledged_message_is_gone_and_a_rejected_one_is_a_dead_letter(
    connection: Connection, engine: SQLiteEngine
) -> None:
    queue = Queue("email")
    producer = Producer(connection.channel(), serializer="json")
    for name in ("ack", "reject", "requeue"):
        producer.publish(name, routing_key="email", declare=[queue])
    messages = heard(connection, queue, count=3)
    for message in messages:
        getattr(message, message.payload)()
    assert [letter.reason for letter in engine.dead()] == ["rejected by its worker"]
    (again,) = heard(connection, queue)
    assert (again.payload, again.delivery_info["redelivered"]) == ("requeue", True)
    again.ack()
    assert heard_nothing(connection, queue)


def heard_nothing(connection: Connection, queue: Queue) -> bool:
    return queue(connection.channel()).get() is None


def test_a_message_that_is_fetched_by_hand(connection: Connection) -> None:
    queue = Queue("email")(connection.channel())
    queue.declare()
    Producer(connection.channel(), serializer="json").publish("hello", routing_key="email")
    message = queue.get()
    assert message.payload == "hello"
    assert queue.get() is None, "it was given out twice"
    message.ack()


def test_a_prefetch_count_is_kept(connection: Connection, engine: SQLiteEngine) -> None:
    queue = Queue("email")
    producer = Producer(connection.channel(), serializer="json")
    for number in range(5):
        producer.publish(number, routing_key="email", declare=[queue])
    channel = connection.channel()
    channel.basic_qos(0, 2, False)
    messages: list[Any] = []
    with Consumer(channel, [queue], on_message=messages.append):
        for _ in range(2):
            connection.drain_events(timeout=5)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.1)
        assert len(messages) == 2
        messages[0].ack()
        connection.drain_events(timeout=5)
    assert [message.payload for message in messages] == [0, 1, 2]
    assert [status.ready for status in engine.queues() if status.name == "email"] == [2]


def test_c45_a_fanout_reaches_every_listener_and_later_ones_not(connection: Connection) -> None:
    exchange = Exchange("events", "fanout")
    listeners = [Queue(f"listener-{number}", exchange, auto_delete=True) for number in range(2)]
    channel = connection.channel()
    for queue in listeners:
        queue(channel).declare()
    producer = Producer(channel, exchange=exchange, serializer="json")
    producer.publish({"n": 1})
    for queue in listeners:
        assert [message.payload for message in heard(connection, queue, no_ack=True)] == [{"n": 1}]
    late = Queue("listener-2", exchange, auto_delete=True)
    late(channel).declare()
    assert heard_nothing(connection, late)


def test_c45_each_drain_delivers_one_message_and_queues_take_turns(connection: Connection) -> None:
    """Kombu's mailbox counts its calls of ``drain_events``: two answers at once must not leave it waiting for one."""
    queues = [Queue(name, Exchange(name), routing_key=name) for name in ("left", "right")]
    producer = Producer(connection.channel(), serializer="json")
    for queue in queues:
        for number in range(2):
            producer.publish(number, exchange=queue.exchange, routing_key=queue.name, declare=[queue])
    got: list[tuple[str, int]] = []

    def on_message(message: Any) -> None:
        got.append((message.delivery_info["routing_key"], message.payload))

    with Consumer(connection.channel(), queues, on_message=on_message, accept=["json"], no_ack=True):
        for count in range(1, 5):
            connection.drain_events(timeout=5)
            assert len(got) == count
    assert sorted(got[:2]) == [("left", 0), ("right", 0)]


def test_c45_a_topic_goes_where_its_key_fits(connection: Connection) -> None:
    exchange = Exchange("topics", "topic")
    queues = {key: Queue(f"q-{key}", exchange, routing_key=key) for key in ("task.*", "task.#", "worker.#")}
    channel = connection.channel()
    for queue in queues.values():
        queue(channel).declare()
    producer = Producer(channel, exchange=exchange, serializer="json")
    producer.publish("one", routing_key="task.sent")
    producer.publish("two", routing_key="task.sent.late")
    got = {key: queue(channel).get(no_ack=True) for key, queue in queues.items()}
    assert [message.payload if message else None for message in got.values()] == ["one", "one", None]
    assert queues["task.#"](channel).get(no_ack=True).payload == "two"
    assert queues["task.*"](channel).get(no_ack=True) is None


def test_a_queue_counts_purges_and_goes(connection: Connection) -> None:
    queue = Queue("email")(connection.channel())
    queue.declare()
    producer = Producer(connection.channel(), serializer="json")
    for number in range(3):
        producer.publish(number, routing_key="email")
    assert queue.queue_declare(passive=True).message_count == 3
    assert queue.purge() == 3
    assert queue.purge() == 0


def test_asking_for_a_queue_that_is_not_there_is_an_error(connection: Connection) -> None:
    channel = connection.channel()
    with pytest.raises(connection.channel_errors):
        channel.queue_declare("unheard of", passive=True)


@pytest.mark.parametrize("priority", [(0, 0), (9, 9), (12, 9), (-3, 0), (None, 0)])
def test_c8_a_priority_outside_its_range_is_the_nearest(
    connection: Connection, engine: SQLiteEngine, priority: tuple[int | None, int]
) -> None:
    given, kept = priority
    producer = Producer(connection.channel(), serializer="json")
    headers = {"id": "a"}
    producer.publish(1, routing_key="email", declare=[Queue("email")], priority=given, headers=headers)
    where = engine.locate("a")
    assert where is not None
    assert where.priority == kept
