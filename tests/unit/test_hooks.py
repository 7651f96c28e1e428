"""C23, P9: hooks before, around and after a body, `def` and `async def`, of a task and of its application."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from umbel import Cancel, Hooks, JobContext, Retry, Snooze, Umbel
from umbel.engine.short_path import plain_task
from umbel.errors import ConfigurationError

Call = Callable[[], Any]
SHADE: contextvars.ContextVar[str] = contextvars.ContextVar("shade", default="none")


def declare(jobs: Umbel, flavour: str, body: Callable[..., Any], **options: Any) -> Any:
    """A task of ``body``, as a function or as a coroutine function."""

    async def coroutine(*args: Any) -> Any:
        await asyncio.sleep(0)
        result = body(*args)
        await asyncio.sleep(0)
        return result

    # Celery writes a function of this name, which a lambda has not.
    body.__name__ = "body"
    return jobs.task(name=f"a.{flavour}", shared=False, **options)(body if flavour == "sync" else coroutine)


def hooks_of(told: list[Any], who: str, flavour: str) -> Hooks:
    """Hooks of all kinds that write down what they hear."""

    def hear(kind: str) -> Callable[[JobContext], Any]:
        def hook(job: JobContext) -> None:
            said = job.result if kind == "success" else type(job.error).__name__ if job.error is not None else None
            told.append((who, kind, said))

        async def ahook(job: JobContext) -> None:
            await asyncio.sleep(0)
            hook(job)

        return hook if flavour == "sync" else ahook

    def around(job: JobContext, call: Call) -> Any:
        told.append((who, "enter", None))
        try:
            return call()
        finally:
            told.append((who, "leave", None))

    async def aaround(job: JobContext, call: Call) -> Any:
        await asyncio.sleep(0)
        told.append((who, "enter", None))
        try:
            return await call()
        finally:
            told.append((who, "leave", None))

    names = ("before", "success", "retry", "failure", "cancel")
    return Hooks(around=around if flavour == "sync" else aaround, **{name: hear(name) for name in names})


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sync", "async"])
def other(request: pytest.FixtureRequest) -> str:
    """The flavour of the hooks."""
    return str(request.param)


def test_c23_the_applications_are_outside_of_the_tasks(jobs: Umbel, flavour: str, other: str) -> None:
    told: list[Any] = []
    task = declare(jobs, flavour, lambda: told.append("body") or "done", hooks=hooks_of(told, "task", other))
    jobs.middleware(hooks_of(told, "first", other))
    jobs.middleware(hooks_of(told, "second", other))
    assert task.apply().get() == "done"
    outside_in = [(who, word, None) for who in ("first", "second", "task") for word in ("before", "enter")]
    inside_out = [(who, "leave", None) for who in ("task", "second", "first")]
    heard = [(who, "success", "done") for who in ("task", "second", "first")]
    assert told == [*outside_in, "body", *inside_out, *heard]


def test_c23_failure_and_retry(jobs: Umbel, flavour: str, other: str) -> None:
    told: list[Any] = []

    def fail() -> None:
        raise OSError("no")

    task = declare(jobs, flavour, fail, hooks=hooks_of(told, "t", other), retry=Retry(1, on=OSError, backoff=0))
    assert task.apply().state == "FAILURE"
    once = [("t", "before", None), ("t", "enter", None), ("t", "leave", None)]
    assert told.count(("t", "retry", "OSError")) == 1
    assert told.count(("t", "failure", "OSError")) == 1
    assert [one for one in told if one[1] not in ("retry", "failure")] == once * 2


def test_c23_what_hears_of_an_end_changes_nothing(
    jobs: Umbel, flavour: str, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []

    def broken(job: JobContext) -> None:
        raise RuntimeError("my own fault")

    async def abroken(job: JobContext) -> None:
        raise SystemExit(3)

    def fail(wrong: bool) -> str:
        if wrong:
            raise KeyError("k")
        return "right"

    bad: Any = broken if other == "sync" else abroken
    good = hooks_of(told, "t", other)
    task = declare(
        jobs,
        flavour,
        fail,
        hooks=Hooks(success=(bad, good.success[0]), failure=(bad, good.failure[0])),  # type: ignore[index]
    )
    with caplog.at_level(logging.ERROR):
        assert task.apply((False,)).get() == "right"
        assert task.apply((True,)).state == "FAILURE"
    assert told == [("t", "success", "right"), ("t", "failure", "KeyError")]
    assert sum("hook of a." in record.getMessage() for record in caplog.records) == 2


def test_c23_what_is_before_and_around_is_part_of_the_job(jobs: Umbel, flavour: str, other: str) -> None:
    ran: list[str] = []

    def refuse(job: JobContext) -> None:
        raise PermissionError("not you")

    async def arefuse(job: JobContext) -> None:
        await asyncio.sleep(0)
        raise PermissionError("not you")

    def replace(job: JobContext, call: Call) -> Any:
        return ("replaced", call())

    async def areplace(job: JobContext, call: Call) -> Any:
        return ("replaced", await call())

    hooks = Hooks(before=refuse if other == "sync" else arefuse)  # type: ignore[arg-type]
    refused = declare(jobs, flavour, lambda: ran.append("ran"), hooks=hooks)
    result = refused.apply()
    assert isinstance(result.result, PermissionError)
    assert ran == []
    app = Umbel("other", set_as_current=False, broker="memory:")
    task = declare(app, flavour, lambda: 1, hooks=Hooks(around=replace if other == "sync" else areplace))
    assert task.apply().get() == ("replaced", 1)


def test_c23_a_body_sees_what_is_around_it(jobs: Umbel, flavour: str, other: str) -> None:
    def paint(job: JobContext, call: Call) -> Any:
        token = SHADE.set("green")
        try:
            return call()
        finally:
            SHADE.reset(token)

    async def apaint(job: JobContext, call: Callable[[], Awaitable[Any]]) -> Any:
        SHADE.set("green")
        await asyncio.sleep(0)
        return await call()

    task = declare(jobs, flavour, lambda: SHADE.get(), hooks=Hooks(around=paint if other == "sync" else apaint))
    assert task.apply().get() == "green"


def test_c23_a_body_may_run_a_loop_of_its_own_within_an_async_hook(jobs: Umbel) -> None:
    async def around(job: JobContext, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    async def answer() -> int:
        return 42

    task = declare(jobs, "sync", lambda: asyncio.run(answer()), hooks=Hooks(around=around))
    assert task.apply().get() == 42


def test_c23_hooks_in_eager_mode_within_a_running_loop(jobs: Umbel, flavour: str, other: str) -> None:
    told: list[Any] = []
    task = declare(jobs, flavour, lambda: "done", hooks=hooks_of(told, "t", other))

    async def inside() -> Any:
        return task.apply().get()

    assert asyncio.run(inside()) == "done"
    assert [one[1] for one in told] == ["before", "enter", "leave", "success"]


def test_c23_an_outcome_is_heard_as_what_it_is(jobs: Umbel, flavour: str) -> None:
    told: list[Any] = []
    task = declare(jobs, flavour, lambda: Cancel("withdrawn"), hooks=hooks_of(told, "t", "sync"))
    assert task.apply().state == "REVOKED"
    assert [one[1:] for one in told if one[1] not in ("enter", "leave", "before")] == [("cancel", "TaskRevokedError")]

    app = Umbel("other", set_as_current=False, broker="memory:")
    times = iter(range(2))
    late = declare(
        app, flavour, lambda: Snooze("1ms") if next(times) < 1 else "done", hooks=hooks_of(told, "s", "sync")
    )
    assert late.apply().get() == "done"
    assert [one[1:] for one in told if one[0] == "s" and one[1] in ("retry", "success")] == [
        ("retry", "Snooze"),
        ("success", "done"),
    ]


def test_c23_a_hook_may_say_how_the_job_ends(jobs: Umbel, flavour: str) -> None:
    def before(job: JobContext) -> None:
        raise Cancel("not on Sundays")

    def around(job: JobContext, call: Call) -> Any:
        return Cancel("nor on holidays")

    first = declare(jobs, flavour, lambda: "done", hooks=Hooks(before=before))
    assert first.apply().state == "REVOKED"
    app = Umbel("other", set_as_current=False, broker="memory:")
    assert declare(app, flavour, lambda: "done", hooks=Hooks(around=around)).apply().state == "REVOKED"


def test_c23_what_a_hook_knows(jobs: Umbel, flavour: str) -> None:
    seen: list[JobContext] = []
    task = declare(jobs, flavour, lambda a, b: a + b, hooks=Hooks(before=seen.append, success=seen.append))
    result = task.apply((1, 2), task_id="me", headers={"tenant": "t1"}, retries=2)
    assert result.get() == 3
    before, success = seen
    assert (before.id, before.task, before.args, before.kwargs) == ("me", f"a.{flavour}", (1, 2), {})
    assert (before.attempt, before.headers, before.lasted, before.result) == (3, {"tenant": "t1"}, None, None)
    assert success.result == 3
    assert success.lasted is not None
    assert success.lasted.total_seconds() >= 0


def test_c43_sensitive_arguments_are_concealed(make_app: Callable[..., Umbel], flavour: str) -> None:
    jobs = make_app(payload_keys="k:" + "A" * 43 + "=")
    seen: list[JobContext] = []
    hooks = Hooks(before=seen.append, success=seen.append)
    task = declare(jobs, "sync", lambda who, token: token, sensitive=("token",), hooks=hooks)
    assert task.apply(("me", "s3cret")).get() == "s3cret"
    assert len(seen) == 2
    for job in seen:
        assert "s3cret" not in repr((job.args, job.kwargs))


def test_c23_a_direct_call_is_no_job(jobs: Umbel, flavour: str) -> None:
    told: list[Any] = []
    task = declare(jobs, flavour, lambda: "done", hooks=hooks_of(told, "t", "sync"))
    assert task() == "done"
    assert told == []


def test_p9_without_hooks_a_task_is_as_it_was(jobs: Umbel) -> None:
    plain, aplain = declare(jobs, "sync", lambda: None), declare(jobs, "async", lambda: None)
    for task in (plain, aplain):
        assert task.declared is None
        assert not task.blocks
        assert not jobs.endings.hears(task)
        assert plain_task(jobs.tasks[task.name], jobs)


def test_p9_with_hooks_it_takes_the_short_path_too(jobs: Umbel, flavour: str) -> None:
    task = declare(jobs, flavour, lambda: None, hooks=Hooks(success=print))
    assert plain_task(jobs.tasks[task.name], jobs)
    assert task.blocks
    assert jobs.endings.hears(task)


def test_c23_a_hook_that_comes_late_hears_of_tasks_that_are_there(jobs: Umbel, flavour: str) -> None:
    told: list[str] = []
    task = declare(jobs, flavour, lambda: "done", retry=1)
    assert task.apply().get() == "done"
    first = task.run

    @jobs.hook.before
    def before(job: JobContext) -> None:
        told.append("before")

    @jobs.hook.success
    def success(job: JobContext) -> None:
        told.append("success")

    assert task.run is not first
    assert task.apply().get() == "done"
    assert told == ["before", "success"]


def test_c23_middleware_is_an_object_or_a_function(jobs: Umbel) -> None:
    told: list[Any] = []

    class Counting:
        def __init__(self) -> None:
            self.failures = 0

        def failure(self, job: JobContext) -> None:
            self.failures += 1

    counting = jobs.middleware(Counting())

    @jobs.middleware
    def timed(job: JobContext, call: Call) -> Any:
        told.append(job.task)
        return call()

    def fail() -> None:
        raise ValueError

    declare(jobs, "sync", fail).apply()
    assert counting.failures == 1
    assert told == ["a.sync"]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (3, "has none of the hooks"),
        (object(), "has none of the hooks"),
        (Hooks, "has none of the hooks"),
    ],
)
def test_c3_what_is_no_hook_is_refused(jobs: Umbel, value: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^Task a\.sync: .*{match}"):
        declare(jobs, "sync", lambda: None, hooks=value, lazy=False)


def test_c3_a_hook_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^Hooks\(before=\): 'x' is no function\.$"):
        Hooks(before="x")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"around=.* must take a job and what calls it"):
        Hooks(around=lambda job: None)  # type: ignore[arg-type, misc]
    with pytest.raises(ConfigurationError, match=r"success=.* must take a job, and nothing else"):
        Hooks(success=lambda: None)  # type: ignore[arg-type, misc]


def test_c5_the_handlers_of_a_class_are_called_after_the_hooks(jobs: Umbel, flavour: str) -> None:
    told: list[str] = []

    class Base(jobs.Task):  # type: ignore[name-defined, misc]
        abstract = True

        def on_success(self, *args: Any) -> None:
            told.append("handler")

    task = declare(jobs, flavour, lambda: 1, base=Base, hooks=Hooks(success=lambda job: told.append("hook")))  # type: ignore[arg-type, return-value]
    assert task.apply().get() == 1
    assert told == ["hook", "handler"]
    assert not plain_task(jobs.tasks[task.name], jobs), "a class with handlers goes Celery's way"


def test_c23_what_another_worker_tells_is_told_of_the_right_job(jobs: Umbel) -> None:
    """A request of Celery's own calls a handler where no job runs."""
    seen: list[JobContext] = []
    task = declare(jobs, "sync", lambda a: a, hooks=Hooks(failure=seen.append))
    error = TimeoutError("over")
    task.on_failure(error, "me", (1,), {}, None)
    (job,) = seen
    assert (job.id, job.task, job.args, job.error, job.lasted) == ("me", "a.sync", (1,), error, None)
