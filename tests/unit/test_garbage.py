"""What start-up made is set apart from the garbage collector, and a plain job leaves nothing for it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from umbel.engine.garbage import settle_down
from umbel.engine.job import Job


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_is_there_is_set_apart_and_young_objects_are_looked_at_less_often() -> None:
    gc.set_threshold(700, 10, 10)
    settle_down()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold() == (20_000, 10, 10)


def test_an_application_keeps_thresholds_of_its_own() -> None:
    gc.set_threshold(50_000, 5, 5)
    settle_down()
    assert gc.get_threshold() == (50_000, 5, 5)


def test_a_job_goes_when_nobody_holds_it() -> None:
    gc.disable()
    try:
        job = Job(lambda _: None, None, None, None, None)
        seen = weakref.ref(job)
        del job
        assert seen() is None
    finally:
        gc.enable()
