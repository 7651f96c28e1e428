"""Arguments are checked before anything is queued (C13)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest

from umbel import Task, Umbel, errors
from umbel.errors import InvalidArguments, PayloadTooLarge


class Order(pydantic.BaseModel):
    number: int
    note: str = ""


def nothing_queued(jobs: Umbel) -> bool:
    return not any(status.ready or status.delayed for status in jobs.engine.queues())


@pytest.fixture(params=["sync", "async", "bound"])
def greet(request: pytest.FixtureRequest, jobs: Umbel) -> Task[..., Any]:
    """The same signature, declared in each way."""
    if request.param == "sync":

        @jobs.task(name="shop.greet")
        def greet(name: str, *, loud: bool = False) -> None: ...
    elif request.param == "async":

        @jobs.task(name="shop.greet")
        async def greet(name: str, *, loud: bool = False) -> None: ...
    else:

        @jobs.task(name="shop.greet", bind=True)
        def greet(self: Any, name: str, *, loud: bool = False) -> None: ...

    return greet


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("a", "b"), {}), (("a",), {"quiet": 1}), (("a",), {"name": "b"}), ((), {"loud": True})],
)
@pytest.mark.parametrize("how", [{}, {"expires": 60}])
def test_c13_arguments_that_do_not_fit(
    jobs: Umbel, greet: Task[..., Any], args: Any, kwargs: Any, how: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArguments) as caught:
        greet.apply_async(args, kwargs, **how)
    error = caught.value
    assert isinstance(error, TypeError), "Celery's callers expect one"
    assert isinstance(error, errors.DispatchError)
    assert error.task == "shop.greet"
    assert str(error).startswith("shop.greet cannot be called like this: ")
    assert "<lambda>" not in str(error)
    assert nothing_queued(jobs)


@pytest.mark.parametrize(("args", "kwargs"), [(("a",), {}), ((), {"name": "a"}), (("a",), {"loud": True})])
def test_c13_arguments_that_fit(jobs: Umbel, greet: Task[..., Any], args: Any, kwargs: Any) -> None:
    assert greet.apply_async(args, kwargs).id
    assert not nothing_queued(jobs)


def test_a_task_without_typing_takes_anything(jobs: Umbel) -> None:
    @jobs.task(name="shop.loose", typing=False)
    def loose(x: int) -> None: ...

    assert loose.apply_async((1, 2, 3)).id


@pytest.mark.parametrize("how", [{}, {"expires": 60}, {"countdown": 5}])
def test_c13_a_model_is_validated_at_dispatch(jobs: Umbel, how: dict[str, Any]) -> None:
    @jobs.task(name="shop.order")
    def order(order: Order, copies: int = 1) -> None: ...

    for wrong in ({"number": "many"}, {}, 5, "text", None):
        with pytest.raises(InvalidArguments, match=r"shop\.order cannot be called like this"):
            order.apply_async((wrong,), **how)
        with pytest.raises(InvalidArguments):
            order.apply_async((), {"order": wrong}, **how)
    assert nothing_queued(jobs)
    for right in (Order(number=5), {"number": 5}, {"number": "5", "note": "x"}):
        assert order.apply_async((right,), **how).id
        assert order.apply_async((), {"order": right, "copies": 2}, **how).id


def test_c13_a_bound_tasks_model_is_validated_too(jobs: Umbel) -> None:
    @jobs.task(name="shop.order", bind=True)
    def order(self: Any, order: Order) -> None: ...

    with pytest.raises(InvalidArguments, match="number"):
        order.delay({"number": "many"})
    assert order.delay(Order(number=1)).id


LONG_WAYS: list[dict[str, Any]] = [
    {},
    {"expires": 60},
    {"countdown": 5},
    {"eta": datetime.now(UTC) + timedelta(hours=1)},
    {"queue": "email"},
    {"serializer": "json"},
    {"routing_key": "email"},
]


@pytest.mark.parametrize("how", LONG_WAYS)
def test_c13_a_payload_that_is_too_large(jobs: Umbel, greet: Task[..., Any], how: dict[str, Any]) -> None:
    with pytest.raises(PayloadTooLarge, match="pass its reference") as caught:
        greet.apply_async(("x" * 300_000,), **how)
    error = caught.value
    assert (error.task, error.limit) == ("shop.greet", 262_144)
    assert error.size > 300_000
    assert nothing_queued(jobs)


@pytest.mark.parametrize("how", LONG_WAYS[:2])
def test_c13_the_limit_is_a_setting(make_app: Callable[..., Umbel], how: dict[str, Any]) -> None:
    jobs = make_app(max_payload_bytes=2048)

    @jobs.task(name="shop.small")
    def small(text: str) -> None: ...

    assert small.apply_async(("x" * 100,), **how).id
    with pytest.raises(PayloadTooLarge):
        small.apply_async(("x" * 4000,), **how)


def test_c13_the_limit_is_of_the_encoded_message(make_app: Callable[..., Umbel]) -> None:
    """Bytes, not letters: what is written escaped is as large as that."""
    jobs = make_app(max_payload_bytes=4096)

    @jobs.task(name="shop.small")
    def small(text: str) -> None: ...

    with pytest.raises(PayloadTooLarge):
        small.delay("☃" * 1000)


def test_what_cannot_be_encoded_is_refused_at_dispatch(jobs: Umbel, greet: Task[..., Any]) -> None:
    for how in ({}, {"expires": 60}):
        with pytest.raises(Exception, match="serializ"):
            greet.apply_async((object(),), **how)
    assert nothing_queued(jobs)
