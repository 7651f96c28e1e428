"""C18: on Redis a plain end takes a shorter way to the server, and leaves behind what the long way does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umbel.engine.redis import RedisEngine
from umbel.engine.redis_plain import apart
from umbel.engine.store import Outgoing, Record, Settled
from umbel.testing.contract._suite import payload

QUEUE = "default"
NAMES = st.none() | st.text(max_size=40)


@pytest.fixture
def engine(redis_url: str, tmp_path: Path) -> Iterator[RedisEngine]:
    engine = RedisEngine(redis_url, run=tmp_path)
    engine.open_lease("here@test", [QUEUE], 10)
    yield engine
    engine.close()


def ended(engine: RedisEngine, record: Record, *, plain: bool) -> tuple[object, ...]:
    """Settle a job of its own with ``record``; return what is known of it then."""
    engine.enqueue([Outgoing(QUEUE, payload("job"), "job")])
    (delivery,) = engine.fetch({QUEUE: 0}, 1)
    # A chord that nobody waits for is what sends an end the long way.
    entry = Settled(delivery.seq, "ack", records=[record], fired=None if plain else "nobody's chord")
    assert (apart([entry])[0] == [entry]) is plain
    assert engine.settle([entry]).refused == ()
    assert engine.locate("job") is None
    (known,) = engine.read([record.task_id])
    left = engine.store.client.pttl(f"celery-task-meta-{record.task_id}") // 60_000
    engine.store.client.flushdb()
    engine.close_lease()
    engine.open_lease("here@test", [QUEUE], 10)
    return known.state, known.final, known.meta, known.attempt, known.task, known.queue, known.owner, left


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    state=st.sampled_from(["SUCCESS", "FAILURE", "REVOKED", "ABORTED"]),
    meta=st.binary(max_size=400) | st.text(max_size=400),
    attempt=st.integers(0, 1 << 40),
    names=st.tuples(NAMES, NAMES, NAMES),
    kept=st.none() | st.integers(1, 30),
)
def test_c18_both_ways_store_the_same(
    engine: RedisEngine,
    state: str,
    meta: bytes | str,
    attempt: int,
    names: tuple[str | None, str | None, str | None],
    kept: int | None,
) -> None:
    expires = None if kept is None else time.time() + 3600 * kept + 30
    record = Record("job", state, True, meta, attempt, *names, expires, time.time())
    assert ended(engine, record, plain=True) == ended(engine, record, plain=False)


def test_c18_a_plain_end_gives_way_to_an_earlier_one_and_keeps_what_was_known(engine: RedisEngine) -> None:
    """The job's owner stands in what was stored first; and an end of the same message is not overwritten."""
    engine.settle([Settled(records=[Record("job", "STARTED", False, "{}", 0, "a task", QUEUE, "ada")])])
    engine.enqueue([Outgoing(QUEUE, payload("job"), "job")] * 2)
    first, second = engine.fetch({QUEUE: 0}, 2)
    since = time.time()
    ends = [
        Settled(first.seq, "ack", records=[Record("job", "SUCCESS", True, "1", since=since)]),
        Settled(second.seq, "ack", records=[Record("job", "FAILURE", True, "2", since=since)]),
    ]
    assert engine.settle(ends).refused == ()
    (known,) = engine.read(["job"])
    assert (known.state, known.meta, known.task, known.owner) == ("SUCCESS", "1", "a task", "ada")
