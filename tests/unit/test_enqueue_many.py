"""Any number of jobs in bounded memory (C7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import Task, Umbel
from umbel.engine import envelope
from umbel.errors import InvalidArguments, PayloadTooLarge


@pytest.fixture
def add(jobs: Umbel) -> Task[..., int]:
    @jobs.task(name="shop.add")
    def add(x: int = 0, y: int = 0) -> int:
        return x + y

    return add


def waiting(jobs: Umbel) -> list[tuple[str | None, Any]]:
    """Return (id, body) of all that waits in the default queue."""
    jobs.engine.open_lease("here@test", [], 1)
    found = jobs.engine.fetch({jobs.conf.task_default_queue: 0}, 100_000)
    return [(one.task_id, envelope.decode_body(envelope.decode(one.payload)["body"])[:2]) for one in found]


def ready(jobs: Umbel) -> int:
    return sum(status.ready for status in jobs.engine.queues())


def test_c7_ids_come_in_the_order_of_the_items(jobs: Umbel, add: Task[..., int]) -> None:
    ids = list(add.enqueue_many((number,) for number in range(1234)))
    assert len(set(ids)) == 1234
    assert waiting(jobs) == [(task_id, [[number], {}]) for number, task_id in enumerate(ids)]


@pytest.mark.parametrize(
    ("item", "args", "kwargs"),
    [
        ((1, 2), [1, 2], {}),
        ({"x": 1}, [], {"x": 1}),
        (((1,), {"y": 2}), [1], {"y": 2}),
        (([1], {"y": 2}), [1], {"y": 2}),
        (7, [7], {}),
        ("ab", ["ab"], {}),
        ([1, 2], [[1, 2]], {}),
        ((), [], {}),
        (None, [None], {}),
    ],
)
def test_c7_what_an_item_may_be(jobs: Umbel, add: Task[..., int], item: Any, args: Any, kwargs: Any) -> None:
    (task_id,) = add.enqueue_many([item])
    assert waiting(jobs) == [(task_id, [args, kwargs])]


def test_c7_memory_is_bounded(jobs: Umbel, add: Task[..., int]) -> None:
    """An endless source: it is never read further ahead than one batch, and what is yielded is in the store."""
    taken = itertools.count()
    source = (next(taken) for _ in itertools.count())
    ids = add.enqueue_many(source)
    for number in range(1, 2001):
        task_id = next(ids)
        if number % 100 == 1:
            ahead = ready(jobs) - number
            assert ahead >= 0, f"{task_id} was yielded before it was stored"
            assert ahead <= 1000
    assert next(taken) <= ready(jobs) + 1


def test_c7_nothing_is_queued_until_it_is_consumed(jobs: Umbel, add: Task[..., int]) -> None:
    ids = add.enqueue_many([1, 2, 3])
    assert ready(jobs) == 0
    assert len(list(ids)) == 3
    assert ready(jobs) == 3


def test_c7_options_hold_for_all(jobs: Umbel, add: Task[..., int]) -> None:
    how = {"queue": "email", "priority": 7, "owner": "user-7", "countdown": 3600}
    for task_id in add.enqueue_many([1, 2], **how):
        where = jobs.engine.locate(task_id)
        assert where is not None
        assert (where.queue, where.priority, where.owner, where.due is not None) == ("email", 7, "user-7", True)


def test_c7_celerys_way_is_streamed_too(jobs: Umbel, add: Task[..., int]) -> None:
    """With options that the short way does not know."""
    ids = list(add.enqueue_many(range(700), expires=3600))
    assert [task_id for task_id, _ in waiting(jobs)] == ids


def test_c13_a_wrong_item_is_refused_and_what_was_yielded_is_stored(jobs: Umbel, add: Task[..., int]) -> None:
    def items() -> Iterator[Any]:
        yield from range(600)
        yield (1, 2, 3)

    ids: list[str] = []
    with pytest.raises(InvalidArguments):
        ids.extend(add.enqueue_many(items()))
    assert [task_id for task_id, _ in waiting(jobs)] == ids
    assert len(ids) == 500


def test_c13_an_item_that_is_too_large(add: Task[..., int]) -> None:
    with pytest.raises(PayloadTooLarge):
        list(add.enqueue_many(["x" * 300_000]))


def test_c7_what_a_source_dispatches_itself_is_not_caught_up_in_it(jobs: Umbel, add: Task[..., int]) -> None:
    """A generator that calls ``delay`` sends that at once, also when the loop over it is given up."""

    def items() -> Iterator[int]:
        add.apply_async((99,), task_id="own")
        yield 1
        raise KeyError("no more")

    with pytest.raises(KeyError):
        list(add.enqueue_many(items()))
    assert [task_id for task_id, _ in waiting(jobs)] == ["own"]


def test_no_items_no_jobs(jobs: Umbel, add: Task[..., int]) -> None:
    assert list(add.enqueue_many([])) == []
    assert ready(jobs) == 0


def test_c7_without_a_store_of_ours_they_go_one_by_one(make_app: Any) -> None:
    jobs = make_app("memory://")
    task = jobs.task(name="shop.there")(there)
    assert len(set(task.enqueue_many(range(3)))) == 3


def there(x: int) -> None: ...
