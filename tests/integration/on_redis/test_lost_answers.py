"""C14: the server has done what was asked, and its answer never came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import exceptions

from umbel.engine.redis import RedisEngine
from umbel.engine.redis_line import Line, Lines
from umbel.engine.store import Outgoing, Settled
from umbel.errors import StoreUnreachable
from umbel.testing.contract._suite import payload

QUEUE = "default"


@pytest.fixture
def engine(redis_url: str) -> Iterator[RedisEngine]:
    engine = RedisEngine(redis_url)
    engine.open_lease("here@test", [QUEUE], 4)
    yield engine
    engine.close()


def test_c14_messages_whose_fetch_was_not_answered_are_fetched_again(
    engine: RedisEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.enqueue([Outgoing(QUEUE, payload(name), name) for name in ("a", "b", "c")])
    (first,) = engine.fetch({QUEUE: 0}, 1)
    ask = engine.store.run

    def unanswered(name: str, *arguments: object, **options: Any) -> None:
        ask(name, *arguments, **options)
        raise StoreUnreachable("redis://test", "cut")

    with monkeypatch.context() as patch:
        patch.setattr(engine.store, "run", unanswered)
        with pytest.raises(StoreUnreachable):
            engine.fetch({QUEUE: 0}, 1)
    found = engine.fetch({QUEUE: 0}, 10)
    assert [one.task_id for one in found] == ["b", "c"]
    assert [one.deliveries for one in found] == [1, 1]
    assert engine.settle([Settled(one.seq, "ack") for one in (first, *found)]).refused == ()


def test_c18_an_end_that_was_written_and_not_answered_is_written_once(
    engine: RedisEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flusher tries again: what followed the job is not sent twice."""
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    (held,) = engine.fetch({QUEUE: 0}, 1)
    entry = Settled(held.seq, "ack", outgoing=[Outgoing(QUEUE, payload("next"), "next")])
    engine.settle([entry])
    assert engine.settle([entry]).refused == (entry,)
    assert [one.task_id for one in engine.fetch({QUEUE: 0}, 10)] == ["next"]


def test_c14_a_dispatch_whose_answer_was_lost_is_asked_again_and_queues_one_job(
    engine: RedisEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, answers = Line.call, iter([True, False, True])

    def unanswered(line: Line, *words: object) -> object:
        answer = call(line, *words)
        if next(answers, False):
            line.connection.disconnect()
            raise exceptions.ConnectionError("cut")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Line, "call", unanswered)
        assert engine.enqueue([Outgoing(QUEUE, payload("a"), "a")]) == 1
        # The same id once more is another dispatch, which is not to be taken for the first.
        assert engine.enqueue([Outgoing(QUEUE, payload("a"), "a")]) == 1
    assert [one.task_id for one in engine.fetch({QUEUE: 0}, 10)] == ["a", "a"]


def test_c14_a_dispatch_reaches_a_server_that_closed_every_connection_meanwhile(engine: RedisEngine) -> None:
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    with engine.store.asking() as client:
        client.client_kill_filter(_type="normal", skipme=False)
    assert engine.enqueue([Outgoing(QUEUE, payload("b"), "b")]) == 1
    assert [one.task_id for one in engine.fetch({QUEUE: 0}, 10)] == ["a", "b"]


class _TakenMeanwhile(list[Line]):
    """Another thread takes the last one as soon as somebody has seen that there is one."""

    def __len__(self) -> int:
        return 1


def test_c18_who_closes_lines_that_others_take_hears_of_the_lost_server_alone() -> None:
    """Any other error would be taken for an end that cannot be stored, and that one dropped."""
    lines = Lines(None)
    lines._free = _TakenMeanwhile()  # type: ignore[misc]
    lines.close()
