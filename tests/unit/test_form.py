"""A text with open places, filled in, is the text that encoding would have given."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from umbel.engine.form import Form, mark

encode = msgspec.json.Encoder().encode
texts = st.text(st.characters(exclude_categories=["Cs"]))


def document(name: Any, number: Any, constant: str) -> dict[str, Any]:
    return {"a": name, "inner": {"again": name, "n": number}, constant: [constant, 1.5, None]}


@given(name=texts, number=st.integers(-(2**60), 2**60), constant=texts)
def test_filled_in_it_is_the_same_text(name: str, number: int, constant: str) -> None:
    form = Form(encode(document(mark("name"), mark("number"), constant)).decode(), ("name", "number"))
    filled = form.fill([encode(name).decode(), encode(number).decode()])
    assert filled == encode(document(name, number, constant)).decode()


def test_a_text_without_open_places_stays_as_it_is() -> None:
    assert Form('{"a":1}', ("name",)).fill(['"x"']) == '{"a":1}'
