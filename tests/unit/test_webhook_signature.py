"""C37: signatures of Standard Webhooks, as their own library makes and checks them."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Theirs

from umbel import verify_webhook
from umbel.errors import ConfigurationError, WebhookRefused
from umbel.jobs.webhook_signature import keys_of, signature_of

NOW = 1_700_000_000
KEYS = st.binary(min_size=24, max_size=64)
IDS = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="._-"), min_size=1, max_size=64)


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def headers_of(keys: list[bytes], name: str, body: bytes, now: int = NOW) -> dict[str, str]:
    return {
        "Webhook-Id": name,
        "webhook-timestamp": str(now),
        "webhook-signature": signature_of(keys, name, now, body),
    }


@given(KEYS, IDS, st.text(max_size=200))
def test_c37_we_sign_as_the_library_does_and_it_takes_ours(key: bytes, name: str, body: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    theirs = Theirs(secret_of(key)).sign(name, now, body)
    assert signature_of([key], name, int(now.timestamp()), body.encode()) == theirs
    sent = json.dumps({"said": body})
    headers = headers_of([key], name, sent.encode(), int(now.timestamp()))
    lower = {header.lower(): value for header, value in headers.items()}
    assert Theirs(secret_of(key)).verify(sent, lower) == {"said": body}


@given(KEYS, IDS, st.binary(max_size=200))
def test_c37_what_was_signed_verifies(key: bytes, name: str, body: bytes) -> None:
    found = verify_webhook(body, headers_of([key], name, body), secret_of(key), now=NOW)
    assert (found.id, found.body, found.sent) == (name, body, datetime.fromtimestamp(NOW, UTC))


@given(st.lists(KEYS, min_size=2, max_size=4, unique=True), st.data())
def test_c37_either_side_may_change_its_secrets(keys: list[bytes], data: st.DataObject) -> None:
    sender = data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
    receiver = data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
    secrets = ", ".join(map(secret_of, receiver))
    headers = headers_of(sender, "m", b"{}")
    if set(sender) & set(receiver):
        assert verify_webhook(b"{}", headers, secrets, now=NOW).json() == {}
    else:
        with pytest.raises(WebhookRefused, match="None of our secrets"):
            verify_webhook(b"{}", headers, secrets, now=NOW)


@given(KEYS, st.binary(min_size=1, max_size=40), st.data())
def test_c37_another_body_id_time_or_signature_does_not_verify(key: bytes, body: bytes, data: st.DataObject) -> None:
    headers = headers_of([key], "m1", body)
    what = data.draw(st.sampled_from(["body", "id", "timestamp", "signature"]))
    if what == "body":
        at = data.draw(st.integers(0, len(body) - 1))
        body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    elif what == "id":
        headers["Webhook-Id"] = "m2"
    elif what == "timestamp":
        headers["webhook-timestamp"] = str(NOW + data.draw(st.integers(1, 299)))
    else:
        headers["webhook-signature"] = data.draw(st.text(st.characters(max_codepoint=255), min_size=1, max_size=60))
    with pytest.raises(WebhookRefused):
        verify_webhook(body, headers, secret_of(key), now=NOW)


@pytest.mark.parametrize("distance", [-301, -300, 0, 300, 301])
def test_c37_an_old_one_is_refused(distance: int) -> None:
    key = b"k" * 32
    headers = headers_of([key], "m", b"{}", NOW + distance)
    if abs(distance) > 300:
        with pytest.raises(WebhookRefused, match="too far"):
            verify_webhook(b"{}", headers, secret_of(key), now=NOW)
    else:
        verify_webhook(b"{}", headers, secret_of(key), now=NOW)
    assert verify_webhook(b"{}", headers, secret_of(key), tolerance="1h", now=NOW).id == "m"


def test_c37_the_clock_is_this_machines() -> None:
    key = b"k" * 32
    assert verify_webhook(b"{}", headers_of([key], "m", b"{}", int(time.time())), secret_of(key)).id == "m"
    with pytest.raises(WebhookRefused):
        verify_webhook(b"{}", headers_of([key], "m", b"{}"), secret_of(key))


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-timestamp": ""},
        {"webhook-timestamp": " 1700000000"},
        {"webhook-timestamp": "01700000000"},
        {"webhook-timestamp": "1700000000.0"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": "١٧٠٠٠٠٠٠٠٠"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v2,abc"},
        {"webhook-signature": "é"},
        {"Webhook-Id": ""},
        {"Webhook-Id": "x" * 300},
    ],
)
def test_c37_what_is_no_webhook_is_refused(change: dict[str, Any]) -> None:
    key = b"k" * 32
    headers = {**headers_of([key], "m", b"{}"), **change}
    with pytest.raises(WebhookRefused):
        verify_webhook(b"{}", headers, secret_of(key), now=NOW)
    with pytest.raises(WebhookRefused, match="missing"):
        verify_webhook(b"{}", {}, secret_of(key), now=NOW)


def test_c37_one_of_many_signatures_is_enough_and_there_may_be_other_kinds() -> None:
    key = b"k" * 32
    right = signature_of([key], "m", NOW, b"{}")
    headers = {**headers_of([key], "m", b"{}"), "webhook-signature": f"v1a,zzz v1,AAAA {right}"}
    assert verify_webhook(b"{}", headers, secret_of(key), now=NOW).id == "m"


def test_c37_the_body_is_read_as_json_when_it_is_asked_for() -> None:
    key = b"k" * 32
    found = verify_webhook(b"\xff", headers_of([key], "m", b"\xff"), secret_of(key), now=NOW)
    with pytest.raises(WebhookRefused, match="no JSON"):
        found.json()


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "whsec_" + base64.b64encode(b"short").decode(), ()])
def test_c3_a_secret_that_is_none_is_refused(secret: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^here: write whsec_ and 24 to 64"):
        keys_of(secret, "here")
