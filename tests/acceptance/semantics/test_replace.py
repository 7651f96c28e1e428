"""C5: ``self.replace``, alone and inside of a workflow."""

from __future__ import annotations

import pytest
from celery import chord, group

from tests.acceptance.semantics.jobs import Jobs, failure, outcome


def test_by_a_signature(jobs: Jobs) -> None:
    """C5: the id stays, the result is the replacement's."""
    assert outcome(jobs.replace_plain.delay(4)) == 8


def test_by_a_chain(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.replace_chain.delay(4)) == 9


def test_by_a_group(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.replace_group.delay(4)) == [8, 5]


def test_by_a_chord(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.replace_chord.delay(4)) == 13


def test_by_what_replaces_itself(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.replace_twice.delay(4)) == 8


def test_by_oneself_many_times(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.replace_self.delay(10)) == 10


def test_by_what_fails(jobs: Jobs) -> None:
    """C5"""
    error = failure(jobs.replace_failing.delay())
    assert isinstance(error, ValueError)
    assert "replaced" in str(error)


@pytest.mark.parametrize(("name", "end"), [("replace_plain", 9), ("replace_chain", 10), ("replace_chord", 14)])
def test_inside_a_chain(jobs: Jobs, name: str, end: int) -> None:
    """C5: the rest of the chain follows the replacement."""
    workflow = jobs.add.s(2, 2) | getattr(jobs, name).s() | jobs.add.s(1)
    assert outcome(workflow.delay()) == end


@pytest.mark.parametrize(("name", "end"), [("replace_plain", 9), ("replace_chain", 10), ("replace_chord", 14)])
def test_inside_the_header_of_a_chord(jobs: Jobs, name: str, end: int) -> None:
    """C5: the body waits for the replacement."""
    assert outcome(chord([getattr(jobs, name).s(4), jobs.add.s(1, 0)], jobs.total.s())()) == end


def test_as_the_body_of_a_chord(jobs: Jobs) -> None:
    """C5"""
    assert outcome(chord([jobs.double.s(2)], jobs.total.s() | jobs.replace_plain.s())()) == 8


def test_inside_a_group(jobs: Jobs) -> None:
    """C5"""
    assert outcome(group(jobs.replace_plain.s(1), jobs.replace_chain.s(1))()) == [2, 3]


def test_links_follow_the_replacement(jobs: Jobs, key: str) -> None:
    """C5"""
    jobs.replace_plain.apply_async((4,), link=jobs.remember.s(key))
    assert jobs.trail.wait(key, "got")[0]["value"] == 8


def test_link_error_follows_the_replacement(jobs: Jobs) -> None:
    """C5"""
    result = jobs.replace_failing.apply_async(link_error=jobs.errback_full.s())
    assert jobs.trail.wait(result.id, "errback_full")[0]["text"] == "replaced"
