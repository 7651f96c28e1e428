"""C18: on Redis a plain end takes a shorter way to the server, and leaves behind what the long way does."""

from __future__ import annotations

import json
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
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just("umbel"), inner, max_size=3)
    ),
    max_leaves=12,
)
#: Celery's documents, some of which end as one with a guard does, but for the guard.
DOCUMENTS = st.dictionaries(st.text(max_size=8) | st.just("umbel"), VALUES, min_size=1, max_size=4).map(json.dumps)


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
    meta=DOCUMENTS,
    attempt=st.integers(0, 1 << 40),
    names=st.tuples(NAMES, NAMES, NAMES),
    kept=st.none() | st.integers(1, 30),
)
def test_c18_both_ways_store_the_same(
    engine: RedisEngine,
    state: str,
    meta: str,
    attempt: int,
    names: tuple[str | None, str | None, str | None],
    kept: int | None,
) -> None:
    expires = None if kept is None else time.time() + 3600 * kept + 30
    record = Record("job", state, True, meta, attempt, *names, expires, time.time())
    assert ended(engine, record, plain=True) == ended(engine, record, plain=False)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    meta=DOCUMENTS.map(lambda text: text.replace(": ", ":").replace(", ", ","))
    | st.binary(max_size=400)
    | st.text(max_size=400)
)
def test_c20_a_document_comes_back_as_it_was(engine: RedisEngine, meta: bytes | str) -> None:
    """Whatever it is, with its guard at its end or beside it; a JSON object stays one for those who read it plainly."""
    engine.settle(
        [Settled(records=[Record("job", "SUCCESS", True, meta, 3, "a task", QUEUE, "ada]", None, time.time())])]
    )
    (known,) = engine.read(["job"])
    assert (known.meta, known.attempt, known.task, known.owner) == (meta, 3, "a task", "ada]")
    document = engine.store.client.get("celery-task-meta-job")
    if isinstance(meta, str) and meta.startswith('{"'):
        assert {name: value for name, value in json.loads(document).items() if name != "umbel"} == {
            name: value for name, value in json.loads(meta).items() if name != "umbel"
        }
    engine.forget("job")
    assert engine.store.client.keys("*job*") == []


@pytest.mark.parametrize("end", ['"umbel":[1]}', '"umbel":[[1]]}', '"r":{"umbel":["S",1,"1.0",0,"","",""]}}'])
def test_c45_what_a_plain_client_wrote_is_not_taken_for_a_guard(engine: RedisEngine, end: str) -> None:
    engine.store.client.set("celery-task-meta-job", '{"status":"FAILURE","result":null,' + end)
    (known,) = engine.read(["job"])
    assert (known.state, known.final, known.attempt) == ("FAILURE", True, 0)
    # It is no guard for the scripts either: a later end is written.
    engine.settle([Settled(records=[Record("job", "SUCCESS", True, '{"status":"SUCCESS"}', since=1.0)])])
    assert engine.read(["job"])[0].state == "SUCCESS"


def test_c18_a_plain_end_gives_way_to_an_earlier_one_and_keeps_what_was_known(engine: RedisEngine) -> None:
    """The job's owner stands in what was stored first; and an end of the same message is not overwritten."""
    engine.settle([Settled(records=[Record("job", "STARTED", False, "{}", 0, "a task", QUEUE, "ada")])])
    engine.enqueue([Outgoing(QUEUE, payload("job"), "job")] * 2)
    first, second = engine.fetch({QUEUE: 0}, 2)
    since = time.time()
    ends = [
        Settled(first.seq, "ack", records=[Record("job", "SUCCESS", True, '{"result":1}', since=since)]),
        Settled(second.seq, "ack", records=[Record("job", "FAILURE", True, '{"result":2}', since=since)]),
    ]
    assert engine.settle(ends).refused == ()
    (known,) = engine.read(["job"])
    assert (known.state, known.meta, known.task, known.owner) == ("SUCCESS", '{"result":1}', "a task", "ada")
