"""C30: what is declared, and what the key of a dispatch is."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umbel import Umbel, Unique
from umbel.errors import ConfigurationError, InvalidArguments
from umbel.jobs.keys import key_name

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.integers(), max_size=3))


def application(tmp_path: Path) -> Umbel:
    return Umbel("unique", broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False)


def declare(tmp_path: Path, unique: Any, **options: Any) -> Any:
    app = application(tmp_path)

    @app.task(name="unique.report", unique=unique, shared=False, **options)
    def report(user: int, *, kind: str = "short", **rest: Any) -> None: ...

    app.finalize()
    return report


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "last"}, "mode='last'"),
        ({"until": "never"}, "until='never'"),
        ({"mode": "replace", "until": "done"}, 'until="start"'),
        ({"mode": "debounce"}, "needs a wait="),
        ({"wait": "3s"}, 'belong to mode="debounce"'),
        ({"longest": "3s"}, 'belong to mode="debounce"'),
        ({"for_": "soon"}, "is not a duration"),
        ({"for_": 0}, "no time at all"),
    ],
)
def test_c30_what_makes_no_sense_is_said_where_it_is_written(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Unique(**options)
    assert said in str(caught.value)


def test_c30_durations_and_modes_are_understood() -> None:
    assert Unique(for_="90m").for_ == timedelta(minutes=90)
    assert Unique().until == "done"
    assert Unique(mode="debounce", wait=5).until == "start"


@pytest.mark.parametrize(
    ("unique", "options", "said"),
    [
        ("yes", {}, "write Unique(...) or True"),
        (Unique(key="who"), {}, "is none of its parameters"),
        (True, {"acks_late": False}, "acks_late=False"),
    ],
)
def test_c3_what_cannot_be_kept_is_refused_at_the_start(
    tmp_path: Path, unique: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        declare(tmp_path, unique, **options)
    assert said in str(caught.value)
    assert "unique.report" in str(caught.value)


def named(task: Any) -> Callable[..., str]:
    return lambda task, args, kwargs: key_name(task, task.unique.key, args, kwargs)


SPELLINGS: list[tuple[Any, Any]] = [
    ((7,), {}),
    ([7], {"kind": "short"}),
    ((), {"kind": "short", "user": 7}),
    (None, {"user": 7}),
]


def test_c30_a_key_is_the_same_however_the_arguments_are_spelt(tmp_path: Path) -> None:
    task = declare(tmp_path, True)
    names = {key_name(task, None, args, kwargs) for args, kwargs in SPELLINGS}
    (name,) = names
    assert key_name(task, None, (8,), {}) != name
    assert key_name(task, None, (7,), {"kind": "long"}) != name
    assert name.startswith("unique.report:")


@pytest.mark.parametrize("key", ["user", ("user",), lambda user, **_: user])
def test_c30_a_key_of_some_arguments_ignores_the_others(tmp_path: Path, key: Any) -> None:
    task = declare(tmp_path, Unique(key=key))
    name = named(task)
    assert name(task, (7,), {}) == name(task, (7,), {"kind": "long", "more": 1})
    assert name(task, (7,), {}) != name(task, (8,), {})


def test_c30_what_is_not_json_by_itself_makes_a_key_too(tmp_path: Path) -> None:
    task = declare(tmp_path, True)
    one, other = uuid.uuid4(), uuid.uuid4()
    name = named(task)
    assert name(task, (1,), {"id": one}) == name(task, (1,), {"id": one}) != name(task, (1,), {"id": other})
    with pytest.raises(InvalidArguments, match="nothing that JSON can say"):
        name(task, (object(),), {})
    with pytest.raises(InvalidArguments, match="missing"):
        name(task, (), {})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=st.dictionaries(st.sampled_from("abc"), VALUES), second=st.dictionaries(st.sampled_from("abc"), VALUES))
def test_c30_keys_are_equal_if_and_only_if_the_arguments_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, Any], second: dict[str, Any]
) -> None:
    task = _task(tmp_path_factory)
    name = named(task)
    same = repr(sorted(first.items(), key=str)) == repr(sorted(second.items(), key=str))
    assert (name(task, (1,), first) == name(task, (1,), second)) == same


_KEPT: list[Any] = []


def _task(folders: pytest.TempPathFactory) -> Any:
    if not _KEPT:
        _KEPT.append(declare(folders.mktemp("unique"), True))
    return _KEPT[0]
