"""Batches as pages show them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.monitor.events import START, Recorder, ended, queued
from umbel import Umbel
from umbel.engine.batches import DONE, FAILED, MemberEnd
from umbel.engine.store import Settled
from umbel.errors import BatchNotFound
from umbel.monitor.batches_view import BatchesView
from umbel.monitor.history import History
from umbel.states import JobState


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Umbel]:
    app = Umbel("shop", broker=f"sqlite:///{tmp_path}/jobs.db")
    app.task(name="shop.load", shared=False)(nothing)
    yield app
    app.engine.close()
    app.close()


def nothing(*_: Any) -> None:
    """Nothing."""


def states(app: Umbel, batch: str) -> dict[str, str]:
    return {one.kind: one.state for one in BatchesView(app, None).one(batch).callbacks}


def opened(app: Umbel, name: str = "import", **options: Any) -> tuple[str, list[str]]:
    with app.batch(name, **options) as batch:
        ids = batch.add(*(app.tasks["shop.load"].s(number) for number in range(2)))
    return batch.id, ids


def end(app: Umbel, batch: str, task_id: str, outcome: str) -> None:
    app.engine.settle([Settled(end=MemberEnd(batch, task_id, outcome))])


def test_the_newest_come_first(app: Umbel) -> None:
    names = [opened(app, f"b{number}")[0] for number in range(3)]
    assert [one.id for one in BatchesView(app, None).newest()] == names[::-1]
    assert [one.id for one in BatchesView(app, None).newest(2)] == names[:0:-1]


def test_callbacks_wait_are_queued_or_never_come(app: Umbel) -> None:
    batch, (first, second) = opened(app)
    assert states(app, batch) == {"then": "waits", "catch": "waits", "finally": "waits"}
    end(app, batch, first, DONE)
    end(app, batch, second, DONE)
    assert states(app, batch) == {"then": "queued", "catch": "never", "finally": "queued"}


def test_a_failed_batch_may_still_be_mended(app: Umbel) -> None:
    batch, (first, second) = opened(app)
    end(app, batch, first, FAILED)
    assert states(app, batch)["catch"] == "queued"
    end(app, batch, second, DONE)
    assert states(app, batch) == {"then": "waits", "catch": "queued", "finally": "queued"}
    end(app, batch, first, DONE)
    assert states(app, batch)["then"] == "queued"


def test_members_are_told_by_the_history(app: Umbel, history: History) -> None:
    batch, ids = opened(app)
    Recorder(history).tell(
        *(queued(name, START, umbel_batch=batch) for name in ids),
        ended(ids[0], "FAILURE"),
        queued("another", START),
    )
    view = BatchesView(app, history)
    members = view.one(batch).members
    assert members is not None
    assert {one.id for one in members.jobs} == set(ids)
    failed = view.one(batch, state=JobState.FAILED).members
    assert failed is not None
    assert [one.id for one in failed.jobs] == ids[:1]


def test_an_unknown_batch_is_not_found(app: Umbel) -> None:
    with pytest.raises(BatchNotFound):
        BatchesView(app, None).one("nobody")
