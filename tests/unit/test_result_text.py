"""What the short path writes of a result reads like what Celery's own encoder writes."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel import Umbel
from umbel.engine.envelope import is_simple
from umbel.engine.short_path import _quick

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
simple = scalars | texts | st.lists(scalars | texts, max_size=8) | st.dictionaries(texts, scalars | texts, max_size=8)


class Colour(IntEnum):
    """An int that Kombu might see otherwise."""

    RED = 1


@pytest.fixture(scope="module")
def backend() -> Any:
    return Umbel("texts", broker="memory://", backend="cache+memory://", set_as_current=False).backend


@given(value=simple)
def test_simple_results_are_said_alike(backend: Any, value: Any) -> None:
    assert is_simple(value)
    meta = {"status": "SUCCESS", "result": value, "children": []}
    assert backend.decode(_quick(meta).decode()) == backend.decode(backend.encode(meta))


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, {1: 2}, [[1]], {"a": {}}, b"x", UUID(int=1), Colour.RED, object(), list(range(99))],
)
def test_anything_else_is_left_to_celerys_encoder(value: Any) -> None:
    assert not is_simple(value)
