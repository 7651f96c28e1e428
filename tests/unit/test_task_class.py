"""C5: classes that were written for Celery become Umbel's, and keep what they override."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from celery import Task as CeleryTask
from celery.exceptions import SoftTimeLimitExceeded

from umbel import Task, Umbel, errors


@pytest.fixture
def app(project: Path) -> Umbel:
    return Umbel("shop", broker="sqlite:///jobs.db")


class Base(CeleryTask):  # type: ignore[type-arg]
    abstract = True
    greeting = "hello"

    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **{**options, "queue": "own"})


class Counting(CeleryTask):  # type: ignore[type-arg]
    """A task in the old way."""

    name = "counting"
    autoretry_for = (OSError,)

    def __init__(self) -> None:
        self.start = 41

    def run(self, more: int) -> int:
        return self.start + more


class Awaiting(CeleryTask):  # type: ignore[type-arg]
    name = "awaiting"

    async def run(self, more: int) -> int:
        await asyncio.sleep(0)
        return 1 + more


def test_a_base_of_celerys_becomes_one_of_umbels(app: Umbel) -> None:
    @app.task(base=Base)
    def greet(name: str) -> str:
        return f"{greet.greeting} {name}"

    assert isinstance(greet, Task)
    assert isinstance(greet, Base)
    assert greet("ada") == "hello ada"
    with pytest.raises(errors.InvalidArguments):
        greet.delay(1, 2, 3)


def test_what_the_base_overrides_comes_first(app: Umbel) -> None:
    @app.task(base=Base)
    def greet(name: str) -> str:
        return name

    result = greet.delay("ada")
    location = app.engine.locate(result.id)
    assert location is not None
    assert location.queue == "own"


@pytest.mark.parametrize("given", [Counting, Counting()], ids=["class", "instance"])
def test_a_task_written_as_a_class(app: Umbel, given: Any) -> None:
    task = app.register_task(given)
    assert isinstance(task, Task)
    assert type(task).__name__ == "Counting"
    assert task(1) == 42
    assert task.apply((1,)).get() == 42
    assert app.register_task(task) is task


def test_c28_a_soft_limit_is_not_retried_by_a_class_either(app: Umbel) -> None:
    task = app.register_task(Counting())
    assert SoftTimeLimitExceeded in task.dont_autoretry_for


def test_a_class_whose_run_is_a_coroutine(app: Umbel) -> None:
    task = app.register_task(Awaiting())
    assert task.is_async
    assert task.apply((1,)).get() == 2

    async def inside() -> int:
        value: int = await task(1)
        return value

    assert asyncio.run(inside()) == 2


def test_a_class_of_umbels_keeps_its_place_in_the_order(app: Umbel) -> None:
    class Own(app.Task):  # type: ignore[name-defined, misc]
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return ("wrapped", super().__call__(*args, **kwargs))

    @app.task(base=Own)
    def plain(x: int) -> int:
        return x

    assert plain(1) == ("wrapped", 1)
