"""Kombu's envelope as text: what goes in comes out, as Kombu itself would read it (C5, C45)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.exceptions import DecodeError
from kombu.utils import json as kombu_json

from umbel.engine import envelope
from umbel.engine.headers import FIRST

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=[]), max_size=30)
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


def message(headers: dict[str, Any], body: str = "[[], {}, {}]") -> dict[str, Any]:
    return {"body": body, "content-type": "application/json", "headers": headers, "properties": {"priority": 0}}


@given(st.dictionaries(st.text(max_size=8), anything, max_size=4))
def test_headers_come_back_as_kombu_reads_them(headers: dict[str, Any]) -> None:
    """Dates, UUIDs and decimals keep their type, however deep they stand."""
    given = message(headers)
    assert envelope.decode(envelope.encode(given)) == kombu_json.loads(kombu_json.dumps(given))


@given(anything)
def test_bodies_are_read_as_kombu_reads_them(value: Any) -> None:
    text = kombu_json.dumps([[value], {}, {}])
    assert envelope.decode_body(text) == kombu_json.loads(text)
    assert envelope.decode_body(text.encode()) == kombu_json.loads(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", 2**200, -(2**64), 1e308, "\0"])
def test_c5_what_celery_takes_is_taken(value: Any) -> None:
    """NaN and lone surrogates are no JSON, but a plain Celery worker runs such a job."""
    text = kombu_json.dumps([[value], {}, {}])
    assert repr(envelope.decode_body(text)) == repr(kombu_json.loads(text))
    outer = message({"x": value}, text)
    assert repr(envelope.decode(envelope.encode(outer))) == repr(kombu_json.loads(kombu_json.dumps(outer)))


def test_a_dates_type_survives_in_a_header_within_a_header() -> None:
    headers = {"a": {"when": datetime(2026, 1, 2, tzinfo=UTC), "ids": [UUID(int=1)], "sum": Decimal("1.10")}}
    assert envelope.decode(envelope.encode(message(headers)))["headers"] == headers


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "5",
        "null",
        "{}",
        '{"properties": []}',
        '{"properties": {}',
        '"text"',
        '{"headers": {}}',
        "[" * 2000,
    ]
    + ["\ud800", '{"properties": {}} trailing'],
)
def test_what_is_no_envelope_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        envelope.decode(text)


@pytest.mark.parametrize("text", ["", "x", "[1", b"\xff\xfe", b"[1]\x00", "[" * 5000])
def test_what_is_no_body_is_kombus_decode_error(text: str | bytes) -> None:
    with pytest.raises(DecodeError):
        envelope.decode_body(text)


@given(st.text(max_size=200))
def test_any_text_is_an_envelope_or_a_value_error(text: str) -> None:
    try:
        found = envelope.decode(text)
    except ValueError:
        return
    assert isinstance(found, dict)


MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("eta", "due"),
    [
        (None, None),
        (MOMENT.isoformat(), MOMENT.timestamp()),
        (MOMENT, MOMENT.timestamp()),
        (MOMENT.replace(tzinfo=None).isoformat(), MOMENT.timestamp()),
        (MOMENT.astimezone(timezone(timedelta(hours=5))).isoformat(), MOMENT.timestamp()),
        ("2026-01-02T03:04:05Z", MOMENT.timestamp()),
        ("next week", None),
        (5, None),
    ],
)
def test_c16_an_eta_is_when_the_message_is_due(eta: Any, due: float | None) -> None:
    assert envelope.outgoing("email", message({"eta": eta, "id": "a"}), 3).due == due


def test_what_the_engine_takes_out_of_a_message() -> None:
    found = envelope.outgoing("email", message({"id": "a", "umbel_once": True}), 7)
    assert (found.queue, found.task_id, found.priority, found.once) == ("email", "a", 7, True)
    assert envelope.outgoing("email", message({"id": 5}), 0).task_id is None
    assert envelope.outgoing("email", message({}), 0).once is False


def test_the_text_is_json_that_anybody_reads() -> None:
    given = message({"name": "käse ☃", "n": 1})
    assert json.loads(envelope.encode(given)) == given


def test_c26_what_is_put_off_before_it_runs_says_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry(until=) counts from then, not from when the last limit was met."""
    once = envelope.dated(envelope.encode(message({"id": "a"})), 1000.5)
    assert envelope.headers_of(once)[FIRST] == 1000.5
    assert envelope.dated(once, 2000.0) == once
    later = envelope.dated(envelope.encode(message({"id": "a", "eta": "2030-01-01T00:00:00+00:00"})), 1000.5)
    assert envelope.headers_of(later)[FIRST] == 1893456000.0
    monkeypatch.setattr("time.time", lambda: 3000.0)
    assert envelope.headers_of(envelope.dated(envelope.encode(message({})), 0.0))[FIRST] == 3000.0
