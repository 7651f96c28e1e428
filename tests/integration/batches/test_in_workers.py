"""Batches in real workers, on each engine."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import chain, chord, group

from tests.integration.batches.conftest import Client
from tests.integration.worker.plant import until
from umbel import BatchState, JobState, Umbel
from umbel.errors import BatchEnded, BatchNotFound, ConfigurationError, DispatchError


def over(client: Client, batch: str) -> Any:
    """Wait until a batch has ended; return its status."""
    until(lambda: client.app.batch_status(batch).finished is not None, f"the end of the batch; {client.plant.logs()}")
    return client.app.batch_status(batch)


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_batch_every_end_is_counted_in_any_pool(client: Client, pool: str) -> None:
    """Success, failure, rejection, retries, a job in another's place, cancellation; def and async def."""
    client.start(concurrency=4, UMBEL_POOL=pool)
    with client.app.batch("all", allow_failures=5, **client.callbacks()) as batch:
        batch.add(client.sig("note", "a"), client.sig("note_async", "b"))
        batch.add(group([client.sig("stubborn", "c"), client.sig("replaced", "d")]))
        batch.add(client.sig("fail", "e"), client.sig("refuse", "f"))
        (cancelled,) = batch.add(client.sig("note", "never", countdown=3600))
        client.app.cancel(cancelled)
        batch.add(client.sig("note_early", "g"), client.sig("fail_early", "h"))
        batch.add(client.sig("note", "late", expires=datetime(2020, 1, 1, tzinfo=UTC)))
    found = over(client, batch.id)
    assert (found.total, found.done, found.failed, found.cancelled, found.pending) == (10, 5, 3, 2, 0)
    assert found.state is BatchState.SUCCEEDED
    client.plant.until_told("called", times=2)
    assert client.called() == ["finally", "then"]
    assert {line.words[2] for line in client.plant.lines("note") if line.words[1] != "g"} == {batch.id}
    assert [line.words[2] for line in client.plant.lines("try", "c")] == ["0", "1", "2"], "a retry is no end"


@pytest.mark.stores("sqlite")
def test_batch_a_job_that_has_ordered_its_next_try_has_not_ended(client: Client) -> None:
    client.plant.open("gate.shut")
    client.start(concurrency=1)
    with client.app.batch("twice") as batch:
        batch.add(client.sig("twice", "gate"))
    client.plant.until_told("twice", "gate", "1")
    assert client.app.batch_status(batch.id).pending == 1
    client.plant.open("gate")
    assert over(client, batch.id).done == 1


def test_batch_catch_and_a_replay_that_mends(client: Client) -> None:
    client.start(concurrency=2)
    with client.app.batch("mend", **client.callbacks()) as batch:
        failing = batch.add(client.sig("fail", "gate"), client.sig("note", "a"))[0]
    found = over(client, batch.id)
    assert (found.state, found.failed) == (BatchState.FAILED, 1)
    client.plant.until_told("called", times=2)
    assert client.called() == ["catch", "finally"]
    client.app.dead_letters.replay(failing)
    until(
        lambda: (
            client.app.dead_letters.show(failing).replays == 1 and not client.app.dead_letters.show(failing).replaying
        ),
        "the replay has failed",
    )
    client.plant.open("gate")
    client.app.dead_letters.replay(failing)
    client.plant.until_told("called", "then")
    assert client.app.batch_status(batch.id).state is BatchState.SUCCEEDED
    assert client.called() == ["catch", "finally", "then"]


def test_batch_cancel_stops_what_runs_and_what_waits(client: Client) -> None:
    client.start(concurrency=2)
    with client.app.batch("stop", **client.callbacks()) as batch:
        batch.add(client.sig("hold", "one"), client.sig("hold_async", "two"))
        client.plant.until_told("hold", times=2)
        batch.add(*(client.sig("note", str(number)) for number in range(20)))
        status = batch.cancel()
    assert status.state is BatchState.CANCELLED
    found = over(client, batch.id)
    assert (found.total, found.cancelled, found.pending) == (22, 22, 0)
    client.plant.until_told("called")
    assert client.called() == ["finally"]
    assert not client.plant.lines("note")
    with pytest.raises(BatchEnded):
        batch.add(client.sig("note", "late"))
    with pytest.raises(BatchEnded):
        client.app.cancel_batch(batch.id)
    with pytest.raises(BatchNotFound):
        client.app.batch_status("unknown")


@pytest.mark.stores("sqlite")
def test_batch_an_error_in_the_block_cancels_it(client: Client) -> None:
    job = ""
    with contextlib.suppress(ZeroDivisionError), client.app.batch("broken", **client.callbacks()) as batch:
        (job,) = batch.add(client.sig("note", "never"))
        raise ZeroDivisionError
    assert client.app.batch_status(batch.id).state is BatchState.CANCELLED
    assert client.app.status(job).state is JobState.CANCELLED
    client.start()
    over(client, batch.id)
    client.plant.until_told("called", "finally")
    assert client.called() == ["finally"]
    assert not client.plant.lines("note")


def test_batch_a_killed_member_adds_nothing_twice(client: Client) -> None:
    client.start(concurrency=1)
    with client.app.batch("killed", **client.callbacks()) as batch:
        batch.add(client.sig("die", "gate"))
    found = over(client, batch.id)
    assert (found.total, found.done) == (4, 4)
    client.plant.until_told("called", times=2)
    assert client.called() == ["finally", "then"]
    assert sorted(line.words[1] for line in client.plant.lines("note")) == ["gate-1", "gate-2", "gate-3"]


@pytest.mark.stores("sqlite")
def test_batch_a_killed_job_opens_the_same_batch_again(client: Client) -> None:
    client.start(concurrency=1)
    client.sig("open_and_die", "gate").apply_async()
    client.plant.until_told("called", times=2)
    (found,) = client.app.find_batches()
    assert (found.name, found.total, found.done) == ("gate", 3, 3)
    assert client.called() == ["finally", "then"]


def test_batch_chains_of_batches(client: Client) -> None:
    client.start(concurrency=2)

    async def open_first() -> str:
        async with client.app.batch("first", then=client.sig("next_batch", 2)) as batch:
            await batch.add(client.sig("note_async", "a"))
            return batch.id

    asyncio.run(open_first())
    client.plant.until_told("stage", "0")
    names = {one.name: (one.state, one.total) for one in client.app.find_batches()}
    succeeded = BatchState.SUCCEEDED
    assert names == {"first": (succeeded, 1), "stage-2": (succeeded, 3), "stage-1": (succeeded, 3)}
    assert len(client.plant.lines("note")) == 7


def test_batch_what_will_not_come_is_found(client: Client) -> None:
    """Purged members, an end that only a result tells, and a process that died in its block."""
    from umbel.engine.store import Record, Settled

    with client.app.batch("lost", allow_failures=1, **client.callbacks()) as batch:
        one, two = batch.add(client.sig("note", "a"), client.sig("note", "b"))
    client.engine_purged()
    client.app.engine.settle([Settled(records=[Record(one, "SUCCESS", True, '{"status": "SUCCESS"}')])])
    assert client.app.sweep_batches(quiet=-1.0) == 2
    found = client.app.batch_status(batch.id)
    assert (found.done, found.cancelled, found.pending) == (1, 1, 0)
    assert found.state is BatchState.SUCCEEDED
    assert client.app.sweep_batches(quiet=-1.0) == 0

    with client.app.batch("lost too", allow_failures=1) as later:
        later.add(client.sig("note", "c", queue="nowhere"))
    client.app.engine.purge("nowhere")
    rival = Umbel("rival", broker=client.plant.url, set_as_current=False)
    assert rival.sweep_batches(quiet=-1.0) == 0, "one looks at a time"
    assert client.app.sweep_batches(quiet=-1.0) == 1
    rival.close()

    block = client.app.batch("abandoned", **client.callbacks())
    other = block.__enter__()
    (job,) = other.add(client.sig("note", "never"))
    assert client.app.sweep_batches(quiet=-1.0) == 0, "its process lives"
    block._lock.release()
    client.app.sweep_batches(quiet=-1.0)
    assert client.app.batch_status(other.id).state is BatchState.CANCELLED
    assert client.app.status(job).state is JobState.CANCELLED
    assert two
    client.start()
    client.plant.until_told("called", times=3)
    assert client.called() == ["finally", "finally", "then"]


@pytest.mark.stores("sqlite")
def test_batch_callbacks_may_be_canvas(client: Client) -> None:
    client.start(concurrency=2)
    both = group([client.sig("called", "one"), client.sig("called", "two")])
    steps = chain(client.sig("called", "three"), client.sig("note", "after", immutable=True))
    with client.app.batch("empty", then=both) as empty:
        pass
    with client.app.batch("chained", finally_=steps) as batch:
        batch.add(client.sig("note", "member"))
    client.plant.until_told("note", "after")
    client.plant.until_told("called", "one", empty.id)
    client.plant.until_told("called", "two", empty.id)
    assert client.plant.lines("called", "three", batch.id)


def test_batch_a_large_one_is_added_in_bulk(client: Client) -> None:
    task = client.app.task(name="tests.integration.batches.jobs.note", typing=False, shared=False)(_elsewhere)
    with client.app.batch("many") as batch:
        assert batch.add_many(task, map(str, range(1203))) == 1203
        assert batch.status().total == 1203
        assert batch.status().fraction == 0.0
    client.start(processes=2, concurrency=4)
    assert over(client, batch.id).done == 1203


def _elsewhere(*_: Any) -> None:
    """What a client knows of a task's body."""


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("bad", [-1, 1.5, "ten", "120%", None])
def test_batch_what_is_no_allowance_is_refused(client: Client, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="allow_failures"):
        client.app.batch("x", allow_failures=bad)


@pytest.mark.stores("sqlite")
def test_batch_what_can_be_no_member_and_no_callback_is_refused(client: Client) -> None:
    note = client.sig("note", "a")
    with pytest.raises(ConfigurationError, match="name"):
        client.app.batch("")
    for wrong in ("note", client.sig("note", countdown=5)):
        with pytest.raises(ConfigurationError, match="then="), client.app.batch("x", then=wrong):
            raise AssertionError
    unique = client.app.task(name="unique", unique=True, shared=False)(_elsewhere)
    with client.app.batch("x") as batch:
        for member in (chain(note, note), chord([note], note), "note", unique.s()):
            with pytest.raises(DispatchError):
                batch.add(member)
        assert batch.status().total == 0
    assert client.app.current_batch() is None


@pytest.mark.parametrize("last", [True, False])
def test_c5_a_chord_fails_when_a_member_cannot_run(client: Client, last: bool) -> None:
    """Its task is unknown, or no worker takes its message: the chord ends, also when that member does so last."""
    client.start(concurrency=2)
    for number, strange in enumerate((client.app.signature("nobody.knows"), client.sig("note", "x"))):
        strange.set(serializer="pickle") if number else None
        strange.set(countdown=1) if last else None
        gate = f"gate-{number}"
        if last:
            client.plant.open(gate)
        result = chord([client.sig("hold", gate), strange])(client.sig("called", "body", "unused"))
        if not last:
            until(client.plant.engine.dead, "the letter of the member that cannot run")
            client.plant.open(gate)
        status = client.plant.ended(result.id)
        assert status.state is JobState.FAILED
        assert "ChordError: Dependency" in str(status.error)
    assert not client.plant.lines("called")
