"""C42: an envelope that was protected comes back as it was, or not at all."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.engine import envelope
from umbel.engine.keyring import Keyring
from umbel.engine.protection import SENSITIVE, Mode, Protection, carries
from umbel.errors import PayloadRefused

KEYS = Keyring({"k": b"\7" * 32})
MODES: tuple[Mode, ...] = ("sign", "encrypt")
#: What may differ without being refused: it is not part of what was said, and is not used.
UNUSED = {"delivery_mode", "delivery_info", "delivery_tag", "priority"}


def message(
    job: str = "id-1", task: str = "shop.charge", body: str = '[["4111"],{},{}]', **headers: Any
) -> dict[str, Any]:
    return {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": job,
            "retries": 0,
            "argsrepr": "('4111',)",
            "eta": None,
            **headers,
        },
        "properties": {
            "correlation_id": job,
            "reply_to": "here",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "priority": 0,
            "body_encoding": "utf-8",
            "delivery_tag": 1,
        },
    }


def stored(protection: Protection, given: dict[str, Any]) -> str:
    return envelope.encode(protection.apply(copy.deepcopy(given)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("more", [{}, {"when": datetime(2026, 1, 2, tzinfo=UTC), "umbel_owner": "ann", "n": 1.5}])
def test_c42_a_message_comes_back_as_it_was(mode: Mode, more: dict[str, Any]) -> None:
    protection, given = Protection(mode, KEYS), message(**more)
    raw = envelope.decode(stored(protection, given))
    assert protection.open(raw) == mode
    assert raw == given


def test_c42_what_is_encrypted_is_not_there_to_read() -> None:
    text = stored(Protection("encrypt", KEYS), message(custom="4111", shadow="4111"))
    assert "4111" not in text
    outside = json.loads(text)["headers"]
    assert outside == {"lang": "py", "task": "shop.charge", "id": "id-1", "retries": 0, "eta": None}


def test_c42_while_it_is_off_nothing_changes_and_known_keys_still_open() -> None:
    given, off = message(), Protection("off", KEYS)
    assert off.apply(given) is given
    assert off.open(given) == ""
    for mode in MODES:
        raw = envelope.decode(stored(Protection(mode, KEYS), given))
        assert off.open(raw) == mode
    signed = envelope.decode(stored(Protection("sign", KEYS), given))
    assert Protection().open(signed) == ""
    assert signed == given
    with pytest.raises(PayloadRefused, match="'k', which is not in UMBEL_PAYLOAD_KEYS"):
        Protection().open(envelope.decode(stored(Protection("encrypt", KEYS), given)))


def test_c43_a_message_with_something_sensitive_is_encrypted_whatever_the_mode_and_its_source_stays_as_it_is() -> None:
    for mode in ("off", *MODES):
        protection = Protection(mode, KEYS)  # type: ignore[arg-type]
        given = message(**{SENSITIVE: True})
        before = copy.deepcopy(given)
        raw = envelope.decode(envelope.encode(protection.apply(given)))
        # Kombu publishes the same message again when a connection was lost, and to each queue of an exchange.
        assert given == before
        assert protection.open(raw) == "encrypt"
        assert raw == message()


@pytest.mark.parametrize("mode", MODES)
def test_c42_a_body_under_another_jobs_headers_is_refused(mode: Mode) -> None:
    protection = Protection(mode, KEYS)
    one = protection.apply(message("id-1", "shop.charge"))
    other = protection.apply(message("id-2", "shop.refund", "[[], {}, {}]"))
    for swapped in (
        {**other, "body": one["body"]},
        {**one, "headers": {**one["headers"], "id": "id-2"}},
        {**one, "headers": {**one["headers"], "task": "shop.refund"}},
    ):
        with pytest.raises(PayloadRefused):
            protection.open(copy.deepcopy(swapped))


@pytest.mark.parametrize("mode", MODES)
def test_c42_headers_that_were_changed_outside_change_nothing(mode: Mode) -> None:
    """A retry keeps its id: its count, its times and its owner are those that were signed."""
    protection = Protection(mode, KEYS)
    given = message(retries=2, umbel_owner="ann", chord=None)
    changed = protection.apply(given)
    changed["headers"] = {
        **changed["headers"],
        "retries": 0,
        "umbel_owner": "eve",
        "eta": "2020-01-01T00:00:00",
        "x": 1,
    }
    changed["properties"] = {**changed["properties"], "reply_to": "eve", "correlation_id": "other"}
    protection.open(changed)
    assert changed == given


@pytest.mark.parametrize("mode", MODES)
def test_c26_since_when_a_job_waits_is_said_outside_too(mode: Mode) -> None:
    protection, given = Protection(mode, KEYS), message()
    put_off = envelope.decode(envelope.dated(stored(protection, given), 5.0))
    protection.open(put_off)
    assert put_off["headers"] == {**given["headers"], "umbel_first": 5.0}


@pytest.mark.parametrize("mode", MODES)
@given(at=st.integers(0, 1 << 20), bit=st.integers(0, 6))
def test_c42_any_flipped_bit_is_refused_or_changes_nothing_that_is_used(mode: Mode, at: int, bit: int) -> None:
    protection, given = Protection(mode, KEYS), message()
    text = bytearray(stored(protection, given).encode())
    text[at % len(text)] ^= 1 << bit
    try:
        raw = envelope.decode(text.decode())
        secured = protection.open(raw)
    except (ValueError, PayloadRefused):
        return
    if not secured:
        # The flip was in the word that says it is protected: a worker that asks for that refuses it.
        assert protection.refuses(secured)
        return
    assert {name: value for name, value in raw.items() if name in given and name != "properties"} == {
        name: value for name, value in given.items() if name != "properties"
    }
    said = {name: value for name, value in given["properties"].items() if name not in UNUSED}
    assert said.items() <= raw["properties"].items()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(("key", "signature", "head")), inner),
    )
)
def test_c42_a_signature_of_any_shape_is_refused(signed: Any) -> None:
    given = message(umbel_signed=signed)
    if signed is None:
        assert Protection("sign", KEYS).open(given) == ""
        return
    with pytest.raises(PayloadRefused):
        Protection("sign", KEYS).open(given)


@pytest.mark.parametrize("body", [None, 5, {}, "", "1", "1.k.", "1.k.AAAA"])
def test_c42_an_encrypted_body_of_any_shape_is_refused(body: Any) -> None:
    with pytest.raises(PayloadRefused):
        Protection("encrypt", KEYS).open({**message(), "body": body, "content-type": "application/x-umbel-sealed"})


def test_c42_what_is_not_protected_is_refused_where_that_is_asked_for() -> None:
    assert not Protection().refuses("")
    assert Protection("sign", KEYS).refuses("")
    assert Protection("encrypt", KEYS).refuses("")
    assert not Protection("encrypt", KEYS).refuses("sign")
    assert not Protection("encrypt", KEYS, tolerant=True).refuses("")


def test_c42_messages_that_are_no_jobs_are_left_alone() -> None:
    for headers in ({}, {"clock": 1}, {"task": "no id"}):
        given = {**message(), "headers": headers}
        assert Protection("encrypt", KEYS).apply(given) is given


@pytest.mark.parametrize("document", ['{"status": "SUCCESS", "result": "4111"}', b"\x80\x00 4111"])
def test_c42_results_and_parts_come_back_for_their_job_only(document: str | bytes) -> None:
    protection = Protection("encrypt", KEYS)
    kept, part = protection.result("id-1", "SUCCESS", document), protection.part("id-1", document)
    for text in (kept, part):
        assert isinstance(text, str)
        assert "4111" not in text
    assert json.loads(kept)["status"] == "SUCCESS"
    assert protection.open_result("id-1", kept) == protection.open_part("id-1", part) == document
    with pytest.raises(PayloadRefused):
        protection.open_result("id-2", kept)
    with pytest.raises(PayloadRefused):
        protection.open_part(
            "id-1",
            kept.replace('"status": "SUCCESS", ', "").replace('"result": null, ', "")
            and json.dumps({"umbel_sealed": json.loads(kept)["umbel_sealed"]}),
        )


def test_c42_results_that_were_never_encrypted_are_read_as_they_are() -> None:
    for document in (
        '{"result": "umbel_sealed"}',
        b"\x80umbel_sealed",
        '["umbel_sealed"]',
        '{"a": {"umbel_sealed": 1}}',
    ):
        assert Protection("encrypt", KEYS).open_result("id-1", document) == document
        assert Protection("sign", KEYS).result("id-1", "SUCCESS", document) == document
    assert Protection("encrypt", KEYS).open_part("id-1", '["SUCCESS", 1]') == '["SUCCESS", 1]'


def test_c43_signatures_are_found_wherever_they_are() -> None:
    signature = {"task": "shop.charge", "args": ["4111"], "kwargs": {}, "options": {}}
    names = {"shop.charge"}
    assert carries(names, signature)
    assert carries(names, ([], {}, {"chain": [{"task": "celery.chord", "kwargs": {"header": [signature]}}]}))
    assert not carries(names, ([{"task": "other", "args": ["shop.charge"]}], {"shop.charge": 1}, None))
    endless: list[Any] = []
    endless.append(endless)
    assert not carries(names, endless)
