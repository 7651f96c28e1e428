"""The short way from ``delay`` to the store gives the same message as Celery's own (C5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from celery import Celery, signals
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from umbel import Task, Umbel
from umbel.engine import dispatch, envelope
from umbel.engine.collecting import publishing_into
from umbel.engine.keyring import Keyring
from umbel.engine.store import Outgoing
from umbel.settings import Settings

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80)
rich = plain | st.datetimes() | st.uuids() | st.decimals(allow_nan=False) | st.dates() | st.binary(max_size=20)
values = st.recursive(rich, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))
keywords = st.dictionaries(st.text("abcdefgh_", min_size=1, max_size=8), values, max_size=4)
options = st.fixed_dictionaries(
    {},
    optional={
        "queue": st.sampled_from(["email", "default", "high"]),
        "priority": st.integers(0, 9),
        "countdown": st.integers(0, 100_000) | st.floats(0.001, 1e6),
        "headers": st.dictionaries(st.text("abcxyz", min_size=1), values, max_size=3),
        "ignore_result": st.booleans(),
        "owner": st.text(max_size=10),
    },
)


class Clock(datetime):
    """A clock that stands still, for both ways."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return NOW.astimezone(tz) if tz else NOW.replace(tzinfo=None)


@contextmanager
def still() -> Iterator[None]:
    from celery.app import amqp

    with (
        mock.patch.object(dispatch, "datetime", Clock),
        mock.patch.object(amqp, "datetime", Clock, create=True),
        mock.patch.object(Celery, "now", return_value=NOW),
    ):
        yield


def sent(task: Any, *args: Any, long: bool, **how: Any) -> list[Outgoing]:
    """Dispatch into a list; ``long`` takes Celery's way."""
    collected: list[Outgoing] = []
    closed = mock.patch.object(type(task.app.dispatcher), "send", return_value=False) if long else mock.MagicMock()
    with still(), publishing_into(collected), closed:
        task.apply_async(*args, **how)
    return collected


def short_and_long(task: Any, *args: Any, **how: Any) -> tuple[Outgoing, Outgoing]:
    taken = mock.patch.object(type(task.app.dispatcher), "_message", autospec=True, side_effect=_MESSAGE)
    with taken as message:
        (short,) = sent(task, *args, long=False, task_id="the-id", **how)
    assert message.called, "it did not go the short way"
    (long,) = sent(task, *args, long=True, task_id="the-id", **how)
    return short, long


_MESSAGE = dispatch.Dispatcher._message


def opened(outgoing: Outgoing) -> dict[str, Any]:
    """Return the envelope with its body opened."""
    message = envelope.decode(outgoing.payload)
    return {**message, "body": kombu_json.loads(message["body"])}


@pytest.fixture
def loose(jobs: Umbel) -> Task[..., Any]:
    """A task that takes anything."""

    @jobs.task(name="shop.loose", typing=False)
    def loose(*args: Any, **kwargs: Any) -> None: ...

    jobs.finalize()
    task: Task[..., Any] = jobs.tasks["shop.loose"]
    return task


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(values, max_size=5), kwargs=keywords, how=options)
def test_c5_both_ways_send_the_same(
    loose: Task[..., Any], args: list[Any], kwargs: dict[str, Any], how: dict[str, Any]
) -> None:
    short, long = short_and_long(loose, tuple(args), kwargs, **how)
    mine, celerys = opened(short), opened(long)
    assert mine["headers"] == celerys["headers"]
    assert mine["properties"] == celerys["properties"]
    assert mine["body"] == celerys["body"]
    assert mine == celerys
    for name in ("queue", "task_id", "priority", "once"):
        assert getattr(short, name) == getattr(long, name)
    assert short.due == (None if long.due is None else pytest.approx(long.due, abs=1e-3))


@pytest.fixture(params=["sign", "encrypt"])
def guarded(request: pytest.FixtureRequest, project: Path) -> Task[..., Any]:
    """The same of an application that protects its messages."""
    protected = Settings.load(payload_keys=Keyring.fresh("k"), payload_protection=request.param)
    jobs = Umbel("shop", settings=protected, set_as_current=False)

    @jobs.task(name="shop.loose", typing=False, shared=False)
    def loose(*args: Any, **kwargs: Any) -> None: ...

    jobs.finalize()
    task: Task[..., Any] = jobs.tasks["shop.loose"]
    return task


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(values, max_size=3), kwargs=keywords, how=options)
def test_c42_both_ways_protect_the_same(
    guarded: Task[..., Any], args: list[Any], kwargs: dict[str, Any], how: dict[str, Any]
) -> None:
    found = []
    for outgoing in short_and_long(guarded, tuple(args), kwargs, **how):
        message = envelope.decode(outgoing.payload)
        assert guarded.app.protection.open(message) == guarded.app.protection.mode
        found.append({**message, "body": kombu_json.loads(message["body"])})
    assert found[0] == found[1]


finite = st.floats(allow_nan=False, allow_infinity=False)
#: What looks plain, in any script.
words = st.text(st.characters(categories=["L", "N"]), max_size=80)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | finite | st.text(max_size=80) | words


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    args=st.lists(scalars | st.text(st.characters(max_codepoint=127), max_size=2000), max_size=5),
    kwargs=st.dictionaries(st.text("abcdefgh_", min_size=1, max_size=8), scalars, max_size=4),
    how=st.fixed_dictionaries({}, optional={"priority": st.integers(0, 9), "ignore_result": st.booleans()}),
)
@example(args=["straße", "٣"], kwargs={}, how={})
@example(args=[1, None, True, "a1"], kwargs={}, how={})
def test_c5_an_envelope_that_is_filled_in_is_the_same(
    loose: Task[..., Any], args: list[Any], kwargs: dict[str, Any], how: dict[str, Any]
) -> None:
    filled = mock.patch.object(dispatch.Dispatcher, "_filled", autospec=True, side_effect=_FILLED)
    with filled as way:
        short, long = short_and_long(loose, tuple(args), kwargs, **how)
    assert way.called
    assert opened(short) == opened(long)
    assert json.loads(short.payload)["body"] == json.loads(long.payload)["body"]


_FILLED = dispatch.Dispatcher._filled


def sent_by_name(jobs: Umbel, name: str, *, long: bool, **how: Any) -> Outgoing:
    """Dispatch by name into a list; ``long`` takes Celery's way."""
    collected: list[Outgoing] = []
    kind = type(jobs.dispatcher)
    way = {"return_value": False} if long else {"side_effect": kind._message}
    watched = mock.patch.object(kind, "send_named" if long else "_message", autospec=True, **way)
    with still(), publishing_into(collected), watched as seen:
        result = jobs.send_task(name, task_id="the-id", **how)
    assert seen.called, "it did not go the short way"
    assert (result.id, result.ignored) == ("the-id", how.get("ignore_result"))
    (message,) = collected
    return message


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["shop.loose", "other.service"]),
    args=st.none() | st.lists(values, max_size=5),
    kwargs=st.none() | keywords,
    how=options.map(lambda chosen: {key: value for key, value in chosen.items() if key != "owner"}),
)
def test_c5_both_ways_send_the_same_by_name(
    jobs: Umbel, loose: Task[..., Any], name: str, args: Any, kwargs: Any, how: dict[str, Any]
) -> None:
    short = sent_by_name(jobs, name, long=False, args=args, kwargs=kwargs, **how)
    long = sent_by_name(jobs, name, long=True, args=args, kwargs=kwargs, **how)
    assert opened(short) == opened(long)
    for field in ("queue", "task_id", "priority", "once"):
        assert getattr(short, field) == getattr(long, field)


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"queue": "email"},
        {"priority": 7},
        {"ignore_result": True},
        {"time_limit": 30, "soft_time_limit": 20},
        {"time_limit": 30},
        {"max_retries": 9, "default_retry_delay": 1},
    ],
)
def test_c5_what_the_task_declares_is_in_the_message(jobs: Umbel, declared: dict[str, Any]) -> None:
    @jobs.task(name="shop.declared", **declared)
    def task(x: int) -> None: ...

    short, long = short_and_long(task, (1,))
    assert opened(short) == opened(long)
    assert (short.queue, short.priority) == (long.queue, long.priority)


@pytest.mark.parametrize("args", [None, (), [], (1,)])
@pytest.mark.parametrize("kwargs", [None, {}, {"a": 1}])
def test_c5_missing_arguments_are_none(loose: Task[..., Any], args: Any, kwargs: Any) -> None:
    short, long = short_and_long(loose, args, kwargs)
    assert opened(short) == opened(long)
    assert opened(short)["body"][:2] == [list(args or []), dict(kwargs or {})]


def test_c5_inside_a_job_both_name_the_parent(jobs: Umbel, loose: Task[..., Any]) -> None:
    from celery._state import _task_stack

    parent = jobs.task(name="shop.parent")(named)
    parent.push_request(id="p", root_id="r", called_directly=False, priority=None)
    _task_stack.push(parent)
    try:
        short, long = short_and_long(loose, (1,))
    finally:
        _task_stack.pop()
        parent.pop_request()
    headers = opened(short)["headers"]
    assert (headers["root_id"], headers["parent_id"]) == ("r", "p")
    assert opened(short) == opened(long)


def named() -> None: ...


def test_c5_arguments_come_back_as_they_were(loose: Task[..., Any]) -> None:
    """What JSON does not know is marked and read back by the worker."""
    args = [datetime(2026, 1, 2, 3, tzinfo=UTC), UUID(int=5), Decimal("1.10"), {"deep": [datetime(2026, 1, 2)]}]
    (message,) = sent(loose, args, {}, long=False)
    found = envelope.decode_body(envelope.decode(message.payload)["body"])
    assert found[0] == args


@pytest.mark.parametrize("args", ["text", 5, {"a": 1}, {1, 2}])
def test_c13_arguments_that_are_no_list_are_refused_by_both(loose: Task[..., Any], args: Any) -> None:
    for long in (False, True):
        with pytest.raises(TypeError):
            sent(loose, args, {}, long=long)


@pytest.mark.parametrize(
    "how",
    [
        {"expires": 60},
        {"eta": NOW + timedelta(hours=1)},
        {"link": "other"},
        {"serializer": "json"},
        {"compression": "gzip"},
        {"routing_key": "email"},
        {"shadow": "alias"},
        {"retry": False},
        {"reply_to": "x"},
    ],
)
def test_c5_what_is_not_plain_takes_celerys_way(jobs: Umbel, loose: Task[..., Any], how: dict[str, Any]) -> None:
    if "link" in how:
        how = {"link": loose.si()}
    assert not jobs.dispatcher.send(loose, (), {}, "the-id", how)
    collected: list[Outgoing] = []
    with publishing_into(collected):
        loose.apply_async((1,), task_id="the-id", **how)
    assert [message.task_id for message in collected] == ["the-id"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_routes", {"shop.*": {"queue": "routed"}}),
        ("task_compression", "gzip"),
        ("task_send_sent_event", True),
        ("task_inherit_parent_priority", True),
        ("task_protocol", 1),
        ("task_always_eager", True),
    ],
)
def test_c5_a_setting_that_changes_the_way_takes_effect_at_once(
    jobs: Umbel, loose: Task[..., Any], name: str, value: Any
) -> None:
    """Also after the first dispatch has gone the short way."""
    assert sent(loose, (1,), long=False)
    jobs.conf[name] = value
    assert not jobs.dispatcher.send(loose, (1,), {}, "the-id", {})


def test_c11_a_route_set_late_moves_the_message(jobs: Umbel, loose: Task[..., Any]) -> None:
    assert [message.queue for message in sent(loose, (1,), long=False)] == [jobs.conf.task_default_queue]
    jobs.conf.task_routes = {"shop.*": {"queue": "routed"}}
    assert [message.queue for message in sent(loose, (1,), long=False)] == ["routed"]


@pytest.mark.parametrize("name", ["before_task_publish", "after_task_publish"])
def test_c23_a_receiver_hears_of_every_dispatch(jobs: Umbel, loose: Task[..., Any], name: str) -> None:
    heard: list[Any] = []

    def receive(sender: Any = None, **_: Any) -> None:
        heard.append(sender)

    signal = getattr(signals, name)
    sent(loose, (1,), long=False)
    signal.connect(receive)
    try:
        sent(loose, (1,), long=False)
    finally:
        signal.disconnect(receive)
    assert heard == ["shop.loose"]


def test_a_handle_belongs_to_its_job(jobs: Umbel, loose: Task[..., Any]) -> None:
    handle = loose.apply_async((1,), task_id="mine", ignore_result=True)
    assert (handle.id, handle.ignored, handle.state) == ("mine", True, "PENDING")
    assert loose.delay(1).ignored is False
    assert jobs.engine.locate("mine") is not None


def test_c20_an_owner_is_kept_with_the_message(jobs: Umbel, loose: Task[..., Any]) -> None:
    for how in ({}, {"expires": 60}):
        handle = loose.apply_async((1,), owner="user-7", headers={"x": 1}, **how)
        assert jobs.status(handle.id).owner == "user-7"


@pytest.mark.parametrize("countdown", [3600, 0.5])
def test_c16_a_countdown_delays_at_the_store(jobs: Umbel, loose: Task[..., Any], countdown: float) -> None:
    before = datetime.now(UTC).timestamp()
    for how in ({"countdown": countdown}, {"eta": datetime.now(UTC) + timedelta(seconds=countdown)}):
        where = jobs.engine.locate(loose.apply_async((1,), **how).id)
        assert where is not None
        assert where.due is not None
        assert before + countdown <= where.due <= datetime.now(UTC).timestamp() + countdown


def test_two_applications_dispatch_to_their_own_stores(make_app: Callable[..., Umbel], tmp_path: Any) -> None:
    apps = [make_app(f"sqlite:///{tmp_path}/{name}.db") for name in ("one", "two")]
    tasks = [app.task(name="shop.same")(named) for app in apps]
    for task in tasks:
        task.delay()
    assert [[status.ready for status in app.engine.queues()] for app in apps] == [[1], [1]]


def test_the_message_is_kombus_envelope(loose: Task[..., Any]) -> None:
    """C45: what any client of Celery's could have written."""
    (message,) = sent(loose, (1,), {"b": 2}, long=False)
    raw = json.loads(message.payload)
    assert set(raw) == {"body", "content-encoding", "content-type", "headers", "properties"}
    assert json.loads(raw["body"]) == [
        [1],
        {"b": 2},
        {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
    ]
