"""What a person may do to jobs, one or all that were previewed (C22, C36)."""

from __future__ import annotations

import json

import pytest

from tests.integration.operations.stand import ANN, QUEUE, SECRET, Stand, failed, waiting
from umbel import JobState
from umbel.errors import (
    InvalidArguments,
    JobFinished,
    JobNotFound,
    LetterBusy,
    LetterNotFound,
    NotDeletable,
    NotLost,
    NotRepeatable,
    OperationError,
    SelectionChanged,
    UnknownName,
)
from umbel.monitor import where
from umbel.monitor.job_filter import JobFilter
from umbel.monitor.operations import JobSelection
from umbel.monitor.operations import jobs as job_operations


def test_c22_cancel_one(stand: Stand) -> None:
    stand.put("a", "b")
    assert stand.jobs.cancel("a", by=ANN).state is JobState.CANCELLED
    assert stand.work() == ["b"]
    with pytest.raises(JobFinished):
        stand.jobs.cancel("b", by=ANN)
    with pytest.raises(JobNotFound):
        stand.jobs.cancel("nobody", by=ANN)


def test_c22_cancel_all_takes_what_was_previewed_and_nothing_that_came_later(stand: Stand) -> None:
    stand.put("a", "b", "c")
    selection = stand.jobs.preview(waiting())
    assert (selection.count, selection.more) == (3, False)
    stand.put("later")
    stand.app.cancel("a")
    done = stand.jobs.cancel_all(selection, by=ANN)
    assert (done.done, done.left_alone, done.failed, done.next) == (2, 1, 0, None)
    assert done.text == "2 cancelled, 1 left alone, because they had changed by then."
    assert stand.work() == ["later"]


def test_c36_retry_one(stand: Stand) -> None:
    stand.put("a", "b")
    stand.work(fail={"a"})
    assert stand.jobs.retry("a", by=ANN).target == "a"
    with pytest.raises(LetterBusy):
        stand.jobs.retry("a", by=ANN)
    with pytest.raises(LetterNotFound):
        stand.jobs.retry("b", by=ANN)
    assert stand.work() == ["a"]
    assert stand.states() == {"a": JobState.SUCCEEDED, "b": JobState.SUCCEEDED}
    assert not stand.app.dead_letters.find()


def test_c36_retry_all_takes_what_had_failed_when_somebody_looked(stand: Stand) -> None:
    """Also none that was dispatched before, and has failed since."""
    stand.put("slow", "a", "b", "c")
    taken = {delivery.task_id: delivery for delivery in stand.take()}
    for one in ("a", "b", "c"):
        stand.end(taken[one], fails=True)
    stand.record()
    selection = stand.jobs.preview(failed())
    assert selection.count == 3
    stand.app.dead_letters.drop([stand.app.dead_letters.show("b")])
    stand.end(taken["slow"], fails=True)
    stand.record()
    done = stand.jobs.retry_all(selection, by=ANN)
    assert (done.done, done.left_alone) == (2, 1)
    assert set(stand.work()) == {"a", "c"}
    assert stand.states()["slow"] is JobState.FAILED


def test_what_was_previewed_is_done_in_steps(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_operations, "STEP", 2)
    stand.put(*"abcde")
    selection, steps = stand.jobs.preview(waiting()), 0
    where = waiting()
    while selection is not None:
        # As it travels through a form.
        done = stand.jobs.cancel_all(JobSelection.marked(where, selection.mark), by=ANN)
        selection, steps = done.next, steps + 1
    assert steps >= 3
    assert stand.work() == []


def test_a_preview_is_one_of_its_filter(embedded: Stand) -> None:
    embedded.put("a")
    mark = embedded.jobs.preview(waiting()).mark
    assert JobSelection.marked(waiting(), mark).count == 1
    with pytest.raises(SelectionChanged, match="another filter"):
        JobSelection.marked(waiting(queue="mail"), mark)
    with pytest.raises(SelectionChanged, match="no mark"):
        JobSelection.marked(waiting(), "whatever")


def test_more_than_were_previewed_are_left_alone(embedded: Stand) -> None:
    """A job of before that has come to fit is not among those that somebody saw."""
    embedded.put("a", "b")
    (first, second) = embedded.take()
    where = JobFilter(states=frozenset({JobState.QUEUED, JobState.CANCELLED}))
    embedded.app.history.jobs.find()
    embedded.end(first)
    embedded.record()
    selection = embedded.jobs.preview(where)
    assert selection.count == 1
    # The first one is dispatched once more, under its id.
    embedded.end(second)
    embedded.add.apply_async((1, 1), task_id=str(first.task_id))
    embedded.add.apply_async((1, 1), task_id=str(second.task_id))
    embedded.record()
    with pytest.raises(SelectionChanged, match="2 jobs fit now, and 1 did"):
        embedded.jobs.cancel_all(selection, by=ANN)
    assert len(embedded.work()) == 2


def test_rerun_with_the_same_arguments_and_with_others(stand: Stand) -> None:
    stand.put("a")
    stand.work()
    same = stand.jobs.rerun("a", by=ANN)
    other = stand.jobs.rerun("a", by=ANN, args=[5], kwargs={"y": 7}, new_id="given-id-1")
    assert stand.jobs.rerun("a", by=ANN, args=[5], kwargs={"y": 7}, new_id="given-id-1").job_id == "given-id-1"
    stand.record()
    details = stand.app.history.jobs.job(other.job_id)
    assert (details.job.parent_id, details.job.root_id, details.job.task) == ("a", "a", "shop.add")
    assert json.loads(details.arguments) == [[5], {"y": 7}]
    assert json.loads(stand.app.history.jobs.job(same.job_id).arguments) == [[0, 1], {}]
    assert {row.id for row in stand.app.history.jobs.job("a").children} == {same.job_id, "given-id-1"}
    assert sorted(stand.work()) == sorted([same.job_id, "given-id-1"])


def test_rerun_refuses_what_cannot_be_run_again(embedded: Stand) -> None:
    embedded.put("a", "b")
    with pytest.raises(InvalidArguments):
        embedded.jobs.rerun("a", by=ANN, kwargs={"unheard_of": 1})
    with pytest.raises(JobNotFound):
        embedded.jobs.rerun("nobody", by=ANN)
    embedded.add.apply_async((1,), {"y": "x" * 20_000}, task_id="long")
    embedded.app.send_task("other.task", task_id="foreign")
    embedded.record()
    with pytest.raises(NotRepeatable, match="too long"):
        embedded.jobs.rerun("long", by=ANN)
    with pytest.raises(UnknownName, match=r"no task 'other.task' here"):
        embedded.jobs.rerun("foreign", by=ANN)


def test_c43_rerun_of_a_job_with_sensitive_arguments(stand: Stand) -> None:
    """Nobody reads them to run it again: they are given anew, and protected as the first ones were."""
    stand.charge.apply_async((5,), {"card": SECRET}, task_id="paid")
    stand.record()
    with pytest.raises(NotRepeatable, match="not kept"):
        stand.jobs.rerun("paid", by=ANN)
    with pytest.raises(InvalidArguments) as refused:
        stand.jobs.rerun("paid", by=ANN, args=[5], kwargs={"card": SECRET, SECRET: 1})
    assert SECRET not in str(refused.value)
    made = stand.jobs.rerun("paid", by=ANN, args=[6], kwargs={"card": SECRET}).job_id
    stand.record()
    assert stand.app.history.jobs.job(made).arguments is None
    assert not any(SECRET in delivery.payload for delivery in stand.take())
    assert SECRET not in repr(stand.audit())


def test_rerun_all_makes_each_once_however_often_it_is_asked_for(stand: Stand) -> None:
    stand.put("a", "b")
    stand.work()
    done = JobFilter(states=frozenset({JobState.SUCCEEDED}))
    selection = stand.jobs.preview(done)
    assert stand.jobs.rerun_all(selection, by=ANN).done == 2
    again = stand.jobs.rerun_all(JobSelection.marked(done, selection.mark), by=ANN)
    assert (again.done, again.left_alone) == (0, 2)
    stand.record()
    assert len(stand.work()) == 2


def test_delete_forgets_a_job_that_has_ended(stand: Stand) -> None:
    stand.put("a", "b", "c")
    with pytest.raises(NotDeletable):
        stand.jobs.delete("a", by=ANN)
    stand.work(fail={"a"})
    stand.put("waits")
    stand.jobs.delete("a", by=ANN)
    with pytest.raises(JobNotFound):
        stand.app.history.jobs.job("a")
    with pytest.raises(JobNotFound):
        stand.app.status("a")
    assert not stand.app.dead_letters.find()
    done = stand.jobs.delete_all(stand.jobs.preview(JobFilter()), by=ANN)
    assert (done.done, done.left_alone) == (2, 1)
    assert set(stand.states()) == {"waits"}


def test_a_lost_job_is_put_back_once(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbel.monitor.where._LOST_SECONDS", -1.0)
    stand.put("a", "b")
    assert stand.app.operations.queues.purge("celery", by=ANN).count == 2
    # The stand's worker would be asked, and does not answer.
    stand.engine.close_lease()
    assert stand.jobs.put_back("a", by=ANN).state is JobState.QUEUED
    with pytest.raises(OperationError, match="'celery'"):
        stand.jobs.put_back("a", by=ANN)
    stand.engine.open_lease("w1@here", ["celery"], 100)
    assert stand.work() == ["a"]
    with pytest.raises(OperationError, match="succeeded"):
        stand.jobs.put_back("a", by=ANN)


@pytest.mark.parametrize(
    ("argument", "found"),
    [("x=1", {"a"}), ("name=ann", {"b"}), ("name=an", set()), ("ann", {"b", "c"}), ("x=11", {"d"}), ("on=true", {"d"})],
)
def test_jobs_are_found_by_an_argument(embedded: Stand, argument: str, found: set[str]) -> None:
    @embedded.app.task(name="shop.any", shared=False)
    def any_(**values: object) -> None:
        """Whatever is given."""

    for job_id, values in {
        "a": {"x": 1},
        "b": {"name": "ann"},
        "c": {"note": "to ann"},
        "d": {"x": 11, "on": True},
    }.items():
        any_.apply_async((), values, task_id=job_id)
    embedded.record()
    assert {row.id for row in embedded.app.history.jobs.find(JobFilter(argument=argument)).jobs} == found


def test_a_lost_job_is_put_back_by_name(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "_LOST_SECONDS", 0.0)
    stand.put("a", "b")
    stand.engine.purge(QUEUE)
    # A worker that does not answer may have it.
    stand.engine.close_lease()
    assert stand.jobs.put_back("a", by=ANN).state is JobState.QUEUED
    stand.record()
    with pytest.raises(NotLost, match="'a' was not put back. shop.add waits in"):
        stand.jobs.put_back("a", by=ANN)
    stand.engine.open_lease("w1@here", [QUEUE], 100)
    assert stand.work() == ["a"]
    with pytest.raises(NotLost, match="shop.add succeeded"):
        stand.jobs.put_back("a", by=ANN)
