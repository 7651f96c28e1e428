"""P9, C26: what a task declares is taken off its options and put around its body; otherwise it is as it was."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from celery import Task as CeleryTask
from celery import shared_task
from celery.app.task import Task as PlainTask

from umbel import Retry, Task, Umbel
from umbel.engine.short_path import plain_task
from umbel.errors import ConfigurationError
from umbel.jobs.declared import Declared, take

POLICY = Retry(2, on=OSError, backoff=0)


def test_p9_a_task_without_declarations_is_as_it_was(jobs: Umbel) -> None:
    """P9: no wrapper, and the short path."""

    @jobs.task
    def plain() -> None: ...

    @jobs.task
    async def aplain() -> None: ...

    for task in (plain, aplain):
        assert task.declared is None
        assert "run" not in vars(task)
        assert plain_task(task, jobs)


def test_p9_declared_tasks_take_the_short_path_too(jobs: Umbel) -> None:
    @jobs.task(retry=POLICY)
    def tried() -> None: ...

    @jobs.task(retry=POLICY)
    async def atried() -> None: ...

    for task in (tried, atried):
        assert task.declared == Declared(retry=POLICY)
        assert plain_task(task, jobs)


def test_p9_options_that_declare_nothing() -> None:
    options = {"queue": "q", "retry": None}
    assert take(options, "here") is None
    assert options == {"queue": "q"}


@pytest.mark.parametrize("bind", [False, True])
def test_c26_the_body_keeps_its_signature_and_its_name(jobs: Umbel, bind: bool) -> None:
    if bind:

        @jobs.task(retry=POLICY, bind=True)
        def send(self: Any, to: str, *, subject: str = "") -> str:
            """Send."""
            return to + subject
    else:

        @jobs.task(retry=POLICY)
        def send(to: str, *, subject: str = "") -> str:
            """Send."""
            return to + subject

    assert str(inspect.signature(send.run)) == "(to: 'str', *, subject: 'str' = '') -> 'str'"
    assert send.run.__name__ == "send"
    assert send.__doc__ == "Send."
    assert send("a", subject="b") == "ab"


def test_c26_celerys_method_is_not_shadowed(jobs: Umbel) -> None:
    @jobs.task(retry=POLICY)
    def send() -> None: ...

    assert send.retry.__func__ is Task.retry


def test_c26_an_awaited_call_is_the_coroutine_itself(jobs: Umbel) -> None:
    @jobs.task(retry=POLICY)
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def inside() -> int:
        found: int = await double(21)
        return found

    assert asyncio.run(inside()) == 42


def test_c26_the_same_name_again_is_the_same_task(jobs: Umbel) -> None:
    def send() -> None: ...

    first = jobs.task(name="send", retry=POLICY, shared=False)(send)
    run = first.run
    assert jobs.task(name="send", retry=POLICY, shared=False)(send).run is run


def test_c26_a_shared_task(jobs: Umbel) -> None:
    @shared_task(name="shared.send", retry=POLICY)
    def send() -> None: ...

    assert jobs.tasks["shared.send"].declared == Declared(retry=POLICY)


# -- classes --------------------------------------------------------------------------------------------------------


class Base(CeleryTask):  # type: ignore[type-arg]
    abstract = True
    retry = POLICY  # type: ignore[assignment]


class Written(CeleryTask):  # type: ignore[type-arg]
    name = "written"
    retry = 4  # type: ignore[assignment]

    def run(self, fails: int) -> int:
        if self.request.retries < fails:
            raise OSError
        return int(self.request.retries)


class Awaited(CeleryTask):  # type: ignore[type-arg]
    name = "awaited"

    async def run(self, fails: int) -> int:
        await asyncio.sleep(0)
        if self.request.retries < fails:
            raise OSError
        return int(self.request.retries)


def test_c26_a_base_declares_for_all_of_its_tasks(jobs: Umbel) -> None:
    @jobs.task(base=Base)
    def first() -> None: ...

    @jobs.task(base=Base, retry=None)
    def second() -> None: ...

    @jobs.task(base=Base, retry=5)
    def third() -> None: ...

    assert first.declared == Declared(retry=POLICY)
    assert second.declared is None
    assert third.declared == Declared(retry=Retry(5))
    for task in (first, second, third):
        assert task.retry.__func__ is Task.retry


def test_c26_a_task_written_as_a_class(jobs: Umbel) -> None:
    task = jobs.register_task(Written())
    assert task.declared == Declared(retry=Retry(4))
    assert task.apply((2,)).get() == 2
    run = task.run
    assert jobs.register_task(task).run is run


def test_c26_a_class_whose_run_is_a_coroutine(jobs: Umbel) -> None:
    task = jobs.register_task(Awaited(), retry=POLICY)
    assert task.declared == Declared(retry=POLICY)
    assert task.apply((2,)).get() == 2

    async def inside() -> int:
        found: int = await task(0)
        return found

    assert asyncio.run(inside()) == 0


def test_c26_what_a_class_calls_by_a_name_of_ours_is_its_own(jobs: Umbel) -> None:
    class Own(jobs.Task):  # type: ignore[name-defined, misc]
        abstract = True

        def retry(self, *args: Any, **options: Any) -> Any:
            return PlainTask.retry(self, *args, **options)

    @jobs.task(base=Own)
    def send() -> None: ...

    assert send.declared is None
    assert send.retry.__func__ is Own.retry


def test_c26_a_class_names_its_place(jobs: Umbel) -> None:
    with pytest.raises(ConfigurationError, match=r"^Task awaited: retry='x'"):
        jobs.register_task(Awaited(), retry="x")
