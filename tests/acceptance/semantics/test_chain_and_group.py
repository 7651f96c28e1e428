"""C5: chain, group, chunks, map and starmap."""

from __future__ import annotations

import json

import pytest
from celery import chain, group, signature
from celery.result import GroupResult

from tests.acceptance.semantics.jobs import Jobs, failure, outcome, reaches
from tests.acceptance.semantics.waiting import DEADLINE


def test_chain_passes_results_on(jobs: Jobs) -> None:
    """C5"""
    result = chain(jobs.add.s(1, 2), jobs.double.s(), jobs.add.s(4))()
    assert outcome(result) == 10
    assert outcome(result.parent) == 6
    assert outcome(result.parent.parent) == 3


def test_chain_by_the_pipe_operator(jobs: Jobs) -> None:
    """C5"""
    assert outcome((jobs.add.s(1, 2) | jobs.double.s() | jobs.double.s()).delay()) == 12


def test_chain_of_one(jobs: Jobs) -> None:
    """C5"""
    assert outcome(chain(jobs.add.s(1, 2)).delay()) == 3


def test_chain_with_immutable_members(jobs: Jobs, key: str) -> None:
    """C5: they do not get what went before, and still wait for it."""
    result = (jobs.mark.si(key, "one", 1) | jobs.mark.si(key, "two", 2) | jobs.mark.si(key, "three", 3)).delay()
    assert outcome(result) == 3
    assert jobs.trail.words(key) == ["one", "two", "three"]


def test_chain_of_chains(jobs: Jobs) -> None:
    """C5"""
    inner = jobs.double.s() | jobs.add.s(1)
    assert outcome((jobs.add.s(1, 1) | inner | inner.clone()).delay()) == 11


def test_chain_takes_partial_arguments_at_its_head(jobs: Jobs) -> None:
    """C5"""
    assert outcome((jobs.add.s(5) | jobs.double.s()).delay(1)) == 12


def test_long_chain(jobs: Jobs) -> None:
    """C5"""
    assert outcome(chain(jobs.add.s(1) for _ in range(20)).delay(0)) == 20


def test_chain_stops_at_a_failure(jobs: Jobs, key: str) -> None:
    """C5: the last result carries the failure, and what follows does not run."""
    result = (jobs.add.s(1, 1) | jobs.fail_if.s(2) | jobs.remember.s(key)).delay()
    assert isinstance(failure(result), ValueError)
    reaches(result.parent, "FAILURE")
    assert outcome(result.parent.parent) == 2
    assert jobs.trail.words(key) == []


def test_link_of_a_chain_runs_at_its_end(jobs: Jobs, key: str) -> None:
    """C5"""
    (jobs.add.s(1, 1) | jobs.double.s()).apply_async(link=jobs.remember.s(key))
    assert jobs.trail.wait(key, "got")[0]["value"] == 4


@pytest.mark.parametrize("bad", [1, 2])
def test_link_error_of_a_chain_runs_for_any_member(jobs: Jobs, bad: int) -> None:
    """C5"""
    workflow = jobs.fail_if.s(1, bad) | jobs.add.s(1) | jobs.fail_if.s(bad)
    result = workflow.apply_async(link_error=jobs.errback_full.s())
    failed = result.parent.parent if bad == 1 else result
    assert isinstance(failure(failed), ValueError)
    jobs.trail.wait(failed.id, "errback_full")


def test_options_of_a_chains_call_hold_for_its_head(jobs: Jobs) -> None:
    """C5: every later member keeps its own."""
    workflow = jobs.tell_family.s() | jobs.tell_family.s().set(queue="video") | jobs.tell_family.s()
    seen = outcome(workflow.apply_async(queue="side"))
    assert [entry["delivery_info"]["routing_key"] for entry in seen] == ["side", "media.video.#", "main"]


def test_countdown_of_a_later_member(jobs: Jobs, key: str) -> None:
    """C5, C16: it counts from when its turn has come."""
    result = (jobs.mark.si(key, "one") | jobs.mark.si(key, "two").set(countdown=1)).delay()
    outcome(result)
    first, second = jobs.trail.notes(key)
    assert second["at"] >= first["at"] + 1


def test_retry_in_the_middle_of_a_chain(jobs: Jobs, key: str) -> None:
    """C5: the chain goes on, once."""
    result = (jobs.add.s(1, 1) | jobs.flaky_step.s(key, 2) | jobs.remember.s(key)).delay()
    assert outcome(result) == 2
    assert jobs.trail.words(key) == ["try", "try", "try", "got"]


def test_chain_dispatched_by_a_job(jobs: Jobs) -> None:
    """C5"""
    inner = outcome(jobs.dispatch_chain.delay(2))
    assert outcome(jobs.world.app.AsyncResult(inner)) == 6


def test_group_returns_results_in_order(jobs: Jobs) -> None:
    """C5"""
    assert outcome(group(jobs.double.s(number) for number in range(10))()) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]


def test_group_of_none(jobs: Jobs) -> None:
    """C5"""
    result = group([], app=jobs.world.app).apply_async()
    assert result.results == []


def test_group_of_groups(jobs: Jobs) -> None:
    """C5"""
    inner = group(jobs.double.s(2), jobs.double.s(3))
    assert outcome(group(jobs.double.s(1), inner)()) == [2, 4, 6]


def test_group_of_chains(jobs: Jobs) -> None:
    """C5"""
    result = group(jobs.add.s(1, 1) | jobs.double.s(), jobs.add.s(2, 2) | jobs.double.s())()
    assert outcome(result) == [4, 8]


def test_group_takes_partial_arguments(jobs: Jobs) -> None:
    """C5"""
    assert outcome(group(jobs.add.s(1), jobs.add.s(2)).delay(10)) == [11, 12]


def test_group_tells_how_many_are_complete(jobs: Jobs) -> None:
    """C5"""
    result = group(jobs.add.s(number, 1) for number in range(5))()
    outcome(result)
    assert (result.completed_count(), result.ready(), result.successful(), result.failed()) == (5, True, True, False)
    assert len(result.children) == 5


def test_group_with_a_failure(jobs: Jobs) -> None:
    """C5: ``get`` raises it, and without ``propagate`` every result can be read."""
    result = group(jobs.add.s(1, 1), jobs.fail.s("one of them"))()
    with pytest.raises(ValueError, match="one of them"):
        outcome(result)
    good, bad = result.get(timeout=DEADLINE, propagate=False)
    assert good == 2
    assert isinstance(bad, ValueError)
    assert result.failed()


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")
def test_group_result_can_be_saved_and_restored(jobs: Jobs) -> None:
    """C5"""
    result = group(jobs.add.s(1, 1), jobs.add.s(2, 2))()
    result.save()
    restored = GroupResult.restore(result.id, app=jobs.world.app)
    assert outcome(restored) == [2, 4]
    restored.delete()
    assert GroupResult.restore(result.id, app=jobs.world.app) is None


def test_members_of_a_group_know_it(jobs: Jobs) -> None:
    """C5"""
    result = group(jobs.whoami.s(), jobs.whoami.s())()
    seen = outcome(result)
    assert {entry["group"] for entry in seen} == {result.id}
    assert [entry["group_index"] for entry in seen] == [0, 1]


def test_options_of_a_group_hold_for_all_members(jobs: Jobs) -> None:
    """C5"""
    seen = outcome(group(jobs.whoami.s(), jobs.whoami.s()).apply_async(queue="side"))
    assert [entry["delivery_info"]["routing_key"] for entry in seen] == ["side", "side"]


def test_link_of_a_group_runs_for_every_member(jobs: Jobs, key: str) -> None:
    """C5"""
    members = [jobs.add.s(1, 1), jobs.add.s(2, 2)]
    for member in members:
        member.link(jobs.remember.s(key))
    group(members)()
    assert sorted(entry["value"] for entry in jobs.trail.wait(key, "got", 2)) == [2, 4]


def test_group_of_one_hundred(jobs: Jobs) -> None:
    """C5"""
    assert outcome(group(jobs.double.s(number) for number in range(100))()) == [2 * number for number in range(100)]


def test_results_of_a_group_as_they_come(jobs: Jobs) -> None:
    """C5: ``iter_native`` and ``collect``."""
    result = group(jobs.add.s(number, 0) for number in range(5))()
    outcome(result)
    assert sorted(meta["result"] for _, meta in result.iter_native(timeout=DEADLINE)) == [0, 1, 2, 3, 4]


def test_group_revoked_as_one(jobs: Jobs, key: str) -> None:
    """C5, C22"""
    result = group(jobs.mark.si(key), jobs.mark.si(key)).apply_async(countdown=3600)
    result.revoke()
    for member in result.results:
        reaches(member, "REVOKED")
    assert jobs.trail.words(key) == []


def test_chunks(jobs: Jobs) -> None:
    """C5"""
    pairs = [(number, number) for number in range(7)]
    assert outcome(jobs.add.chunks(pairs, 3)()) == [[0, 2, 4], [6, 8, 10], [12]]


def test_chunks_as_a_group(jobs: Jobs) -> None:
    """C5"""
    workflow = jobs.add.chunks([(1, 1), (2, 2), (3, 3)], 2).group()
    assert outcome(workflow.delay()) == [[2, 4], [6]]


def test_map(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.double.map([1, 2, 3]).delay()) == [2, 4, 6]


def test_starmap(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.add.starmap([(1, 2), (3, 4)]).delay()) == [3, 7]


def test_map_fails_with_its_member(jobs: Jobs) -> None:
    """C5"""
    assert isinstance(failure(jobs.fail.map(["first"]).delay()), ValueError)


def test_canvas_survives_being_written_as_json(jobs: Jobs) -> None:
    """C5: a workflow can be stored and dispatched later."""
    workflow = chain(jobs.add.s(1, 1), group(jobs.double.s(), jobs.add.s(1)), jobs.total.s())
    stored = json.loads(json.dumps(workflow))
    assert outcome(signature(stored, app=jobs.world.app).delay()) == 7
