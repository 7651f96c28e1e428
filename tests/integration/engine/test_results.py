"""Celery's result API on the embedded engine, as clients use it (C5, C20)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from celery.app.task import Context
from celery.exceptions import TimeoutError as CeleryTimeoutError

from umbel import Settings, Umbel
from umbel.engine.store import ChordPart
from umbel.errors import StoreError


@pytest.fixture
def jobs(url: str) -> Iterator[Umbel]:
    jobs = Umbel("shop", broker=url, settings=Settings.load(), set_as_current=False)
    yield jobs
    jobs.engine.close()
    jobs.close()


VALUES = [
    None,
    {"x": [1, 2.5, "käse", None]},
    datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    {"sum": Decimal("1.10"), "id": UUID(int=3)},
    float("inf"),
    "\ud800",
    2**70,
]


@pytest.mark.parametrize("value", VALUES)
def test_c5_a_result_comes_back_as_it_was(jobs: Umbel, value: Any) -> None:
    jobs.backend.store_result("a", value, "SUCCESS")
    result = jobs.AsyncResult("a")
    assert (result.ready(), result.successful()) == (True, True)
    assert result.get(timeout=5) == value


def test_c5_an_exception_comes_back_with_its_type(jobs: Umbel) -> None:
    jobs.backend.store_result("a", ZeroDivisionError("by", 0), "FAILURE", traceback="Traceback: here")
    result = jobs.AsyncResult("a")
    assert result.failed()
    assert isinstance(result.result, ZeroDivisionError)
    assert result.traceback == "Traceback: here"
    with pytest.raises(ZeroDivisionError):
        result.get(timeout=5)


def test_a_result_can_be_forgotten(jobs: Umbel) -> None:
    jobs.backend.store_result("a", 1, "SUCCESS")
    jobs.AsyncResult("a").forget()
    assert jobs.AsyncResult("a").state == "PENDING"


def test_many_are_yielded_as_they_end(jobs: Umbel) -> None:
    def finish() -> None:
        for name in "abc":
            jobs.backend.store_result(name, name.upper(), "SUCCESS")

    threading.Timer(0.05, finish).start()
    found = dict(jobs.backend.get_many(["a", "b", "c"], timeout=30))
    assert {name: meta["result"] for name, meta in found.items()} == {"a": "A", "b": "B", "c": "C"}
    with pytest.raises(CeleryTimeoutError):
        list(jobs.backend.get_many(["a", "never"], timeout=0.05))


def test_c5_a_saved_group_is_restored(jobs: Umbel) -> None:
    group = jobs.GroupResult("g", [jobs.AsyncResult("a"), jobs.AsyncResult("b")])
    group.save(backend=jobs.backend)
    restored = jobs.GroupResult.restore("g", backend=jobs.backend)
    assert [member.id for member in restored.results] == ["a", "b"]
    restored.delete(backend=jobs.backend)
    assert jobs.GroupResult.restore("g", backend=jobs.backend) is None


def test_results_outlive_the_process(jobs: Umbel) -> None:
    jobs.backend.store_result("a", 5, "SUCCESS")
    jobs.engine.close()
    assert jobs.AsyncResult("a").get(timeout=5) == 5


def test_c1_a_result_expires(url: str) -> None:
    jobs = Umbel("shop", broker=url, settings=Settings.load(result_expires="1h"), set_as_current=False)
    jobs.backend.store_result("a", 5, "SUCCESS")
    engine: Any = jobs.engine
    engine.sweep()
    assert jobs.AsyncResult("a").state == "SUCCESS"
    with engine.file.turn() as connection:
        assert connection.execute("UPDATE result SET expires = expires - 3601").rowcount == 1
    engine.sweep()
    assert jobs.AsyncResult("a").state == "PENDING"
    engine.close()
    jobs.close()


def test_c18_a_late_passing_state_does_not_reopen_a_job(jobs: Umbel) -> None:
    jobs.backend.store_result("a", 5, "SUCCESS")
    jobs.backend.store_result("a", {"done": 1}, "PROGRESS")
    assert jobs.AsyncResult("a").state == "SUCCESS"


def test_c14_a_chord_is_not_failed_because_its_store_is_away(jobs: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever settles it tries again; only the callback's own faults are the chord's."""

    def away(group_id: str) -> Any:
        raise StoreError(group_id, "away")

    @jobs.task(shared=False)
    def total(parts: list[int]) -> int:
        return sum(parts)

    member = Context(group="g", chord=total.s())
    with monkeypatch.context() as patch:
        patch.setattr(jobs.engine.groups, "parts", away)
        with pytest.raises(StoreError):
            jobs.backend.complete_chord(ChordPart("g", "a", 0, "1", 1, token=member))
    (message,) = jobs.backend.complete_chord(ChordPart("g", "a", 0, "1", 1, token=member)).outgoing
    assert "total" in message.payload
