"""``tags=`` of a task and of a dispatch: one header, on every way to the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from umbel import Umbel
from umbel.errors import ConfigurationError, InvalidArguments


@pytest.fixture
def jobs(project: Path) -> Any:
    app = Umbel("shop", set_as_current=False)

    @app.task(name="shop.bill", shared=False, tags=["billing"])
    def bill(number: int) -> None: ...

    @app.task(name="shop.plain", shared=False)
    def plain(number: int) -> None: ...

    app.finalize()
    yield app
    app.engine.close()
    app.close()


def tags(jobs: Any) -> list[Any]:
    """The tags of everything that waits, in the order of dispatch."""
    found = jobs.engine.take("celery", 100)
    return [json.loads(one.payload)["headers"].get("umbel_tags") for one in found]


def test_those_of_the_task_and_of_the_dispatch(jobs: Any) -> None:
    bill, plain = jobs.tasks["shop.bill"], jobs.tasks["shop.plain"]
    bill.delay(1)
    bill.apply_async((1,), tags=["eu", "billing"])
    plain.delay(1)
    plain.apply_async((1,), tags=["eu"])
    plain.apply_async((1,), tags=None)
    assert tags(jobs) == [["billing"], ["billing", "eu"], None, ["eu"], None]


def test_by_name_in_bulk_and_on_celerys_way(jobs: Any) -> None:
    bill = jobs.tasks["shop.bill"]
    jobs.send_task("shop.bill", (1,))
    jobs.send_task("shop.bill", (1,), tags=["eu"])
    jobs.send_task("shop.elsewhere", (1,), tags=["eu"])
    list(bill.enqueue_many([1, 2], tags=["bulk"]))
    # A link is Celery's own way.
    bill.apply_async((1,), link=bill.si(2))
    bill.apply_async((1,), link=bill.si(2), tags=["eu"])
    bill.s(1).apply_async(tags=["signed"])
    bill.s(1).set(tags=["set"]).apply_async()
    assert tags(jobs) == [
        ["billing"],
        ["billing", "eu"],
        ["eu"],
        ["billing", "bulk"],
        ["billing", "bulk"],
        ["billing"],
        ["billing", "eu"],
        ["billing", "signed"],
        ["billing", "set"],
    ]


def _body() -> None: ...


@pytest.mark.parametrize("wrong", ["billing", 7, [7], [""], ["x" * 101], [str(number) for number in range(21)]])
def test_what_is_no_list_of_words_is_refused(jobs: Any, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Task shop\.wrong: .*tag"):
        jobs.task(name="shop.wrong", shared=False, tags=wrong)(_body)
    with pytest.raises(InvalidArguments, match="tag"):
        jobs.tasks["shop.plain"].apply_async((1,), tags=wrong)
