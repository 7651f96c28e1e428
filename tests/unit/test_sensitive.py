"""C43: what a task declares as sensitive, where that is found among its arguments, and what is shown of it."""

from __future__ import annotations

import json
import logging
import pickle
from typing import Any

import pytest
from celery.utils.saferepr import saferepr
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.json import dumps
from pydantic import BaseModel

from umbel import Umbel
from umbel.engine.keyring import Keyring
from umbel.errors import ConfigurationError
from umbel.jobs.sensitive import Concealed, Sensitive, SensitiveArguments
from umbel.settings import Settings

SECRET = "4111-1111"


def charge(amount: int, token: str, *parts: str, card: Any = None, **more: Any) -> None:
    """A signature with everything in it."""


def sensitive(*names: str) -> SensitiveArguments:
    return Sensitive.of(names, "Task charge").among(charge, "Task charge", bound=False)


def app(**settings: Any) -> Umbel:
    keys = {"payload_keys": Keyring.fresh("k")}
    return Umbel("shop", broker="memory://", settings=Settings.load(**keys | settings), set_as_current=False)


@pytest.mark.parametrize(
    ("names", "args", "kwargs", "shown"),
    [
        (("token",), (1, SECRET), {}, "((1, ***), {})"),
        (("token",), [1], {"token": SECRET}, "([1], {'token': ***})"),
        (("token",), (1,), {}, "((1,), {})"),
        (("parts",), (1, "t", SECRET, SECRET), {}, "((1, 't', ***, ***), {})"),
        (
            ("card.number",),
            (),
            {"card": {"number": SECRET, "name": "Ann"}},
            "((), {'card': {'number': ***, 'name': 'Ann'}})",
        ),
        (("card.number",), (), {"card": [{"number": SECRET}, {}]}, "((), {'card': [{'number': ***}, {}]})"),
        (("card.number", "card"), (), {"card": {"number": SECRET}}, "((), {'card': ***})"),
        (("card.number",), (), {"card": None}, "((), {'card': None})"),
        (("whatever",), (), {"whatever": SECRET}, "((), {'whatever': ***})"),
    ],
)
def test_c43_it_is_found_by_name_position_and_path(names: Any, args: Any, kwargs: Any, shown: str) -> None:
    declared = sensitive(*names)
    concealed = declared.conceal(args, kwargs)
    assert saferepr(concealed, maxlevels=9) == shown == repr(concealed)
    assert SECRET not in dumps(concealed)
    assert declared.reveal(*concealed) == (args, kwargs)
    assert declared.reveal(*declared.conceal(*concealed)) == (args, kwargs)
    assert declared.reveal(args, kwargs) == (args, kwargs)


ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("card", "number", "x")), inner, max_size=3)
    ),
)


@given(
    args=st.lists(ANY, max_size=4),
    kwargs=st.dictionaries(st.sampled_from(("token", "card", "more", "amount")), ANY),
    names=st.lists(
        st.sampled_from(("token", "card", "card.number", "card.number.x", "parts", "more.card")),
        unique=True,
        min_size=1,
    ),
)
def test_c43_whatever_the_arguments_they_come_back_as_they_were(args: Any, kwargs: Any, names: Any) -> None:
    declared = sensitive(*names)
    before = json.dumps([args, kwargs])
    assert list(declared.reveal(*declared.conceal(args, kwargs))) == [args, kwargs]
    assert json.dumps([args, kwargs]) == before


@pytest.mark.parametrize("odd", [None, "text", 5])
def test_c43_arguments_that_are_none_are_left_to_the_tracer(odd: Any) -> None:
    assert sensitive("token").conceal(odd, odd) == (odd, odd)


def test_c43_a_concealed_value_shows_itself_to_nobody() -> None:
    value = Concealed(SECRET)
    assert {repr(value), str(value), f"{value}", f"{value!s:>3}", f"{value}"} == {"***"}
    assert dumps([value]) == '["***"]'
    assert not hasattr(value, "__dict__")
    assert pickle.loads(pickle.dumps(value)).reveal() == SECRET  # noqa: S301


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("tokn",), "'tokn', which is no argument of it .did you mean 'token'"),
        (("",), "names arguments"),
        (("a..b",), "names arguments"),
        ((5,), "names arguments"),
    ],
)
def test_c43_a_name_that_is_none_is_refused_where_it_is_declared(names: Any, sentence: str) -> None:
    def body(token: str, card: str) -> None: ...

    shop = app()
    with pytest.raises(ConfigurationError, match=f"Task shop.pay: sensitive .*{sentence}"):
        shop.task(sensitive=names, name="shop.pay", lazy=False, shared=False)(body)


def test_c43_without_a_key_the_application_does_not_start() -> None:
    shop = app(payload_keys=None)
    shop.task(sensitive=("token",), name="shop.charge", shared=False)(charge)
    with pytest.raises(
        ConfigurationError, match=r"Task shop.charge .sensitive arguments. needs a key: .*'umbel key' makes one"
    ):
        shop.finalize()


@pytest.mark.parametrize("mode", ["sign", "encrypt"])
def test_c42_protection_without_a_key_is_refused_at_the_start(mode: str) -> None:
    with pytest.raises(ConfigurationError, match=f"UMBEL_PAYLOAD_PROTECTION={mode} needs a key"):
        app(payload_keys=None, payload_protection=mode).finalize()


@pytest.mark.parametrize("is_async", [False, True])
def test_c43_eager_jobs_get_the_values_and_nobody_else_does(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    shop = app()
    shop.conf.task_always_eager = True
    seen: list[Any] = []

    class Watched(shop.Task):  # type: ignore[name-defined,misc]
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            seen.append((args, kwargs, self.request.args, self.request.kwargs))

        def on_success(self, result: Any, task_id: str, args: Any, kwargs: Any) -> None:
            seen.append((args, kwargs))

    def pay(amount: int, token: str, note: str = "") -> str:
        return f"{amount} {token} {note}"

    async def apay(amount: int, token: str, note: str = "") -> str:
        return pay(amount, token, note)

    task = shop.task(sensitive=("token",), base=Watched, shared=False)(apay if is_async else pay)
    with caplog.at_level(logging.DEBUG):
        assert task.delay(1, SECRET).get() == f"1 {SECRET} "
        assert task.apply_async((1,), {"token": SECRET, "note": "n"}).get() == f"1 {SECRET} n"
    assert len(seen) == 4
    assert SECRET not in repr(seen)
    if not is_async:
        assert task(1, SECRET) == f"1 {SECRET} "


def test_c43_a_base_class_and_a_class_with_run_declare_it_too() -> None:
    shop = app()
    shop.conf.task_always_eager = True

    class Base(shop.Task):  # type: ignore[name-defined,misc]
        abstract = True
        sensitive = ("token",)

    class Whole(shop.Task):  # type: ignore[name-defined,misc]
        name = "shop.whole"
        sensitive = ("token",)

        def run(self, token: str) -> str:
            return f"{self.request.args!r} {token}"

    @shop.task(base=Base, bind=True, shared=False)
    def derived(self: Any, token: str) -> str:
        return f"{self.request.args!r} {token}"

    for task in (derived, shop.register_task(Whole())):
        assert task.delay(SECRET).get() == f"[***] {SECRET}"
    assert shop.protection.sensitive == {derived.name, "shop.whole"}


class Card(BaseModel):
    number: int


def test_c43_a_models_error_does_not_show_what_was_wrong() -> None:
    shop = app()

    @shop.task(sensitive=("card",), name="shop.model", shared=False)
    def pay(card: Card) -> int:
        return card.number

    result = pay.apply(args=({"number": "4111-x"},))
    assert "4111-x" not in f"{result.result!r} {result.traceback}"
    assert "The arguments do not fit shop.model: number: Input should be a valid integer" in str(result.result)
    assert pay.apply(args=({"number": "4111"},)).get() == 4111


def test_c43_tasks_that_declare_nothing_are_what_they_were() -> None:
    shop = app()

    @shop.task(shared=False)
    def plain(token: str) -> None: ...

    assert not hasattr(plain, "conceal")
    assert not shop.protection.sensitive


def test_c42_no_key_is_shown_by_settings() -> None:
    text = Keyring.fresh("k")
    settings = Settings.load(payload_keys=text)
    secret = text.partition(":")[2]
    assert secret not in f"{settings!r} {settings} {list(settings.explain())}"
    shop = Umbel("shop", broker="memory://", settings=settings, set_as_current=False)
    assert secret not in f"{shop.protection!r} {shop.connection().transport_options!r}"
    # What `inspect stats` tells of a connection.
    assert json.loads(dumps(shop.connection().info()))["transport_options"].get("protection", "off") == "off"
    stored = Umbel("shop", broker="sqlite:////nowhere/jobs.db", settings=settings, set_as_current=False)
    assert json.loads(dumps(stored.connection().info()))["transport_options"]["protection"] == "off"
