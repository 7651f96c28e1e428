"""C5: chords, wherever they stand, whatever fails in them."""

from __future__ import annotations

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError

from tests.acceptance.semantics.jobs import Jobs, failure, outcome, reaches


def test_body_gets_the_results_in_order(jobs: Jobs) -> None:
    """C5"""
    assert outcome(chord(jobs.double.s(number) for number in range(5))(jobs.echo.s())) == [[[0, 2, 4, 6, 8]], {}]


def test_group_piped_into_a_task(jobs: Jobs) -> None:
    """C5: becomes a chord."""
    assert outcome((group(jobs.double.s(1), jobs.double.s(2)) | jobs.total.s()).delay()) == 6


def test_header_of_one(jobs: Jobs) -> None:
    """C5"""
    assert outcome(chord([jobs.double.s(4)], jobs.total.s())()) == 8


def test_header_of_none(jobs: Jobs) -> None:
    """C5: the body runs with an empty list."""
    assert outcome(chord([], jobs.total.s(), app=jobs.world.app)()) == 0


def test_body_that_is_immutable(jobs: Jobs) -> None:
    """C5"""
    assert outcome(chord([jobs.double.s(4)], jobs.add.si(1, 2))()) == 3


def test_header_of_one_hundred_calls_back_once(jobs: Jobs, key: str) -> None:
    """C5, C18"""
    body = jobs.total.s() | jobs.remember.s(key)
    result = chord((jobs.add.s(number, 1) for number in range(100)), body)()
    assert outcome(result) == 5050
    assert outcome(jobs.add.delay(1, 1)) == 2
    assert [entry["value"] for entry in jobs.trail.notes(key)] == [5050]


def test_header_of_chains(jobs: Jobs) -> None:
    """C5"""
    header = [jobs.add.s(1, 1) | jobs.double.s(), jobs.add.s(2, 2) | jobs.double.s()]
    assert outcome(chord(header, jobs.total.s())()) == 12


def test_body_that_is_a_chain(jobs: Jobs) -> None:
    """C5"""
    assert outcome(chord([jobs.double.s(1), jobs.double.s(2)], jobs.total.s() | jobs.add.s(1))()) == 7


def test_body_that_is_a_group(jobs: Jobs) -> None:
    """C5"""
    body = group(jobs.total.s(), jobs.echo.s())
    assert outcome(chord([jobs.double.s(1), jobs.double.s(2)], body)()) == [6, [[[2, 4]], {}]]


def test_chord_in_the_middle_of_a_chain(jobs: Jobs) -> None:
    """C5"""
    workflow = jobs.add.s(1, 1) | group(jobs.double.s(), jobs.add.s(10)) | jobs.total.s() | jobs.double.s()
    assert outcome(workflow.delay()) == 32


def test_chord_as_a_member_of_a_chain(jobs: Jobs) -> None:
    """C5"""
    inner = chord([jobs.double.si(1), jobs.double.si(2)], jobs.total.s())
    assert outcome(chain(jobs.add.si(0, 0), inner, jobs.add.s(1)).delay()) == 7


def test_two_chords_one_after_the_other(jobs: Jobs) -> None:
    """C5"""
    header = group(jobs.add.s(1), jobs.add.s(2))
    assert outcome((jobs.add.s(0, 0) | header | jobs.total.s() | header.clone() | jobs.total.s()).delay()) == 9


def test_chord_within_a_header(jobs: Jobs) -> None:
    """C5"""
    inner = chord([jobs.double.s(1), jobs.double.s(2)], jobs.total.s())
    assert outcome(chord([inner, jobs.double.s(5)], jobs.total.s())()) == 16


def test_group_within_a_header(jobs: Jobs) -> None:
    """C5: it is unrolled, and then the order is nobody's promise."""
    inner = group(jobs.double.s(1), jobs.double.s(2))
    (results,), _ = outcome(chord([inner, jobs.double.s(5)], jobs.echo.s())())
    assert sorted(results) == [2, 4, 10]


def test_group_at_the_end_of_a_chain(jobs: Jobs) -> None:
    """C5"""
    assert outcome((jobs.add.s(1, 1) | group(jobs.double.s(), jobs.add.s(1))).delay()) == [4, 3]


def test_chain_of_groups(jobs: Jobs) -> None:
    """C5: the second takes all results of the first."""
    workflow = group(jobs.add.s(1, 1), jobs.add.s(2, 2)) | group(jobs.total.s(), jobs.echo.s())
    assert outcome(workflow.delay()) == [6, [[[2, 4]], {}]]


def test_retry_within_a_header(jobs: Jobs, key: str) -> None:
    """C5, C18: the body still runs once, with the result of the last try."""
    header = [jobs.flaky.s(key, 2, 0, 5), jobs.double.s(1)]
    assert outcome(chord(header, jobs.total.s())()) == 7
    assert jobs.trail.words(key) == ["try"] * 3


def test_failure_in_the_header_fails_the_body(jobs: Jobs, key: str) -> None:
    """C5: with a ChordError that names the member, and the body does not run."""
    result = chord([jobs.add.s(1, 1), jobs.fail.s("in the header")], jobs.remember.s(key))()
    error = failure(result)
    assert isinstance(error, ChordError)
    assert "in the header" in str(error)
    assert jobs.trail.words(key) == []


def test_failure_in_the_header_calls_the_bodys_errback(jobs: Jobs, key: str) -> None:
    """C5"""
    body = jobs.remember.s(key).on_error(jobs.errback_full.s())
    result = chord([jobs.add.s(1, 1), jobs.fail.s("in the header")], body)()
    found = jobs.trail.wait(result.id, "errback_full")[0]
    assert found["error"] == "ChordError"
    assert len(jobs.trail.notes(result.id, "errback_full")) == 1


def test_failure_in_the_body_calls_its_errback(jobs: Jobs) -> None:
    """C5"""
    body = jobs.fail_if.s([2]).on_error(jobs.errback_id.s())
    result = chord([jobs.double.s(1)], body)()
    assert isinstance(failure(result), ValueError)
    jobs.trail.wait(result.id, "errback_id")


def test_failure_in_a_chord_stops_the_chain_around_it(jobs: Jobs, key: str) -> None:
    """C5"""
    workflow = jobs.add.s(1, 1) | group(jobs.double.s(), jobs.fail_if.s(2)) | jobs.total.s() | jobs.remember.s(key)
    result = workflow.delay()
    assert isinstance(failure(result), (ChordError, ValueError))
    assert jobs.trail.words(key) == []


def test_all_of_the_header_may_fail(jobs: Jobs) -> None:
    """C5"""
    result = chord([jobs.fail.s("one"), jobs.fail.s("two")], jobs.total.s())()
    assert isinstance(failure(result), ChordError)
    reaches(result, "FAILURE")


def test_header_may_be_dispatched_for_later(jobs: Jobs) -> None:
    """C5, C16"""
    header = [jobs.double.s(1).set(countdown=0.5), jobs.double.s(2)]
    assert outcome(chord(header, jobs.total.s())()) == 6


def test_options_of_the_body(jobs: Jobs) -> None:
    """C5"""
    result = chord([jobs.add.s(1, 1)], jobs.tell_family.s().set(queue="side"))()
    assert outcome(result)[-1]["delivery_info"]["routing_key"] == "side"


def test_body_belongs_to_the_tree_of_its_header(jobs: Jobs) -> None:
    """C5"""
    result = (jobs.whoami.s() | group(jobs.whoami.si(), jobs.whoami.si()) | jobs.tell_family.s()).delay()
    seen = outcome(result)
    assert len({entry["root_id"] for entry in seen}) == 1
    assert seen[2]["id"] == result.id


def test_member_may_join_while_it_runs(jobs: Jobs) -> None:
    """C5: ``add_to_chord``."""
    assert outcome(chord([jobs.grow_chord.s(1)], jobs.total.s())()) == 21


@pytest.mark.parametrize("count", [2, 3])
def test_same_chord_can_be_dispatched_again(jobs: Jobs, count: int) -> None:
    """C5: nothing of the first run leaks into the next."""
    workflow = chord([jobs.double.s(1), jobs.double.s(2)], jobs.total.s())
    assert [outcome(workflow.clone()()) for _ in range(count)] == [6] * count
