"""What of a batch is plain starts at once, and a lone quick job on the thread that fetched it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from umbel.engine.pool import TaskPool
from umbel.engine.starter import Starter
from umbel.engine.store import Delivery


class _Pool(TaskPool):
    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.quick = False

    def take(self, *jobs: Any) -> None:
        self.taken.extend(jobs)

    def lone(self, job: Any) -> Any:
        return (lambda: self.taken.append(f"here {job}")) if self.quick else None


class _Starter(Starter):
    def _plain_job(self, delivery: Delivery) -> Any:
        if delivery.payload == "odd":
            raise KeyError("id")
        return None if delivery.payload == "canvas" else delivery.payload


@pytest.fixture
def pool() -> _Pool:
    return _Pool()


@pytest.fixture
def starter(pool: _Pool) -> Starter:
    consumer = SimpleNamespace(app=None, pool=pool, event_dispatcher=None)
    fetcher = SimpleNamespace(shift=SimpleNamespace(run_here=lambda run: run()))
    transport: Any = SimpleNamespace(fetcher=fetcher)
    admission: Any = SimpleNamespace(admit=lambda batch: [one for one in batch if one.payload != "put off"])
    return _Starter(consumer, transport, admission)


def _batch(*payloads: str) -> list[Delivery]:
    return [Delivery(number, "default", text, 1) for number, text in enumerate(payloads)]


def test_c14_a_message_that_makes_no_sense_keeps_no_other_of_its_batch(starter: Starter, pool: _Pool) -> None:
    """It goes Celery's way, which says what is wrong with it."""
    batch = _batch("a", "odd", "canvas", "b", "put off")
    assert starter.start(batch) == [batch[1], batch[2]]
    assert pool.taken == ["a", "b"]


def test_a_lone_quick_job_runs_where_it_was_fetched(starter: Starter, pool: _Pool) -> None:
    assert starter.start(_batch("slow")) == []
    pool.quick = True
    assert starter.start(_batch("quick")) == []
    assert starter.start(_batch("one", "two")) == []
    assert pool.taken == ["slow", "here quick", "one", "two"]
