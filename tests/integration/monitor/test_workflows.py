"""Workflows: which jobs of a root are read, however many there are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.monitor.events import START, Recorder, queued
from umbel.errors import JobNotFound
from umbel.monitor.history import History
from umbel.monitor.workflows import JOBS_MOST


def job(name: str, number: int, parent: str | None = None, **about: Any) -> Any:
    root = "root" if parent is not None else name
    return queued(name, START + number, root_id=root, parent_id=parent, **about)


def test_a_workflow_is_its_root_with_all_that_came_of_it(history: History) -> None:
    Recorder(history).tell(
        job("root", 0), job("a", 1, "root", group="g"), job("b", 2, "root", group="g"), job("c", 3, "a"), job("x", 4)
    )
    for name in ("root", "a", "c"):
        found = history.workflows.of(name)
        assert found.root == "root"
        assert [(one.id, one.parent_id, one.group_id) for one in found.jobs] == [
            ("root", None, None), ("a", "root", "g"), ("b", "root", "g"), ("c", "a", None),
        ]  # fmt: skip
        assert found.left_out.number == 0
        assert not found.is_single
    assert history.workflows.of("x").is_single


def test_of_too_many_the_job_its_ancestors_and_its_children_are_there(history: History) -> None:
    Recorder(history).tell(
        job("root", 0),
        *(job(f"n{at}", at, "root") for at in range(1, 300)),
        job("child", 400, "n290"),
        job("own", 401, "child"),
        job("grandchild", 402, "own"),
        *(job(f"late{at}", 500 + at, "root") for at in range(10)),
    )
    found = history.workflows.of("own")
    names = [one.id for one in found.jobs]
    assert len(names) == JOBS_MOST
    assert {"root", "n290", "child", "own", "grandchild", "n1", "n2"} <= set(names)
    assert names == [one.id for one in sorted(found.jobs, key=lambda one: one.number)]
    assert found.left_out.number == 299 + 3 + 10 - (JOBS_MOST - 1)


def test_members_of_a_group_that_no_job_has_dispatched_belong_together(history: History) -> None:
    """Each of them is its own root; what follows the group came of the member that ended last."""
    Recorder(history).tell(
        *(queued(f"m{at}", START + at, group="g") for at in range(3)),
        queued("body", START + 9, root_id="m1", parent_id="m1"),
        queued("other", START + 9, group="h"),
    )
    for name in ("m0", "m1", "body"):
        assert [one.id for one in history.workflows.of(name).jobs] == ["m0", "m1", "m2", "body"], name
    assert history.workflows.of("m0").left_out.number == 0


def test_of_a_large_group_it_is_said_how_many_are_left_out(history: History) -> None:
    Recorder(history).tell(*(queued(f"m{at}", START + at, group="g") for at in range(200)))
    found = history.workflows.of("m150")
    assert "m150" in {one.id for one in found.jobs}
    assert len(found.jobs) + found.left_out.number == 200


def test_a_root_that_is_not_kept_is_missed_by_nobody(history: History) -> None:
    Recorder(history).tell(job("a", 1, "root"), job("b", 2, "a"))
    found = history.workflows.of("b")
    assert [one.id for one in found.jobs] == ["a", "b"]
    assert found.left_out.number == 0


def test_parents_in_a_circle_end(history: History) -> None:
    Recorder(history).tell(job("a", 1, "b"), job("b", 2, "a"))
    assert [one.id for one in history.workflows.of("a").jobs] == ["a", "b"]


def test_an_unknown_job_has_none(history: History) -> None:
    with pytest.raises(JobNotFound):
        history.workflows.of("nobody")
