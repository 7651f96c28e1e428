"""C42: keys by their ids, what they seal, and what they refuse to open."""

from __future__ import annotations

import base64
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.engine.keyring import Keyring, framed, unframed
from umbel.errors import ConfigurationError, PayloadRefused

BOUND = ("message", "id-1", "shop.charge")


def ring(*names: str, seed: int = 1) -> Keyring:
    return Keyring({name: bytes([seed + place]) * 32 for place, name in enumerate(names)})


def test_c42_the_first_key_seals_and_every_key_opens() -> None:
    old, both, new = ring("old", seed=2), Keyring({"new": b"\1" * 32, "old": b"\2" * 32}), ring("new")
    before, after = old.seal(b"said", BOUND), both.seal(b"said", BOUND)
    assert both.open(before, BOUND) == both.open(after, BOUND) == new.open(after, BOUND) == b"said"
    with pytest.raises(PayloadRefused, match="'new', which is not in UMBEL_PAYLOAD_KEYS"):
        old.open(after, BOUND)


def test_c42_the_same_text_is_never_sealed_alike() -> None:
    keys = ring("k")
    assert len({keys.seal(b"same", BOUND) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("other", [("message", "id-2", "shop.charge"), ("result", "id-1"), BOUND[:2], (*BOUND, "")])
def test_c42_a_text_opens_only_for_what_it_was_sealed_for(other: tuple[str, ...]) -> None:
    keys = ring("k")
    name, signature = keys.sign(b"said", BOUND)
    with pytest.raises(PayloadRefused, match="belongs to another job"):
        keys.open(keys.seal(b"said", BOUND), other)
    with pytest.raises(PayloadRefused, match="belongs to another job"):
        keys.verify(name, signature, b"said", other)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_c42_a_changed_text_is_refused(at: int, bit: int) -> None:
    keys = ring("k", "other")
    text = keys.seal(b"a card's number", BOUND)
    changed = bytearray(text.encode())
    changed[at % len(changed)] ^= 1 << bit
    with pytest.raises(PayloadRefused):
        keys.open(changed.decode("latin-1"), BOUND)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), of_data=st.booleans())
def test_c42_a_changed_signature_or_text_does_not_verify(at: int, bit: int, of_data: bool) -> None:
    keys = ring("k")
    data = b"what is to be done"
    name, signature = keys.sign(data, BOUND)
    changed = bytearray(data if of_data else signature.encode())
    changed[at % len(changed)] ^= 1 << bit
    with pytest.raises(PayloadRefused):
        keys.verify(name, *((signature, bytes(changed)) if of_data else (changed.decode("latin-1"), data)), BOUND)


@given(st.text(max_size=200))
def test_c42_whatever_is_no_sealed_text_is_refused(text: str) -> None:
    with pytest.raises(PayloadRefused):
        ring("k").open(text, BOUND)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_frames_are_read_as_they_were_written(parts: list[bytes]) -> None:
    assert unframed(framed(*parts)) == parts


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nothing", "write key 1 as id:base64"),
        ("a b:" + base64.b64encode(bytes(32)).decode(), "write key 1 as id:base64"),
        ("k:c2hvcnQ=", "the key 'k' is not 32 random bytes in base64"),
        ("k:!!!!", "the key 'k' is not 32 random bytes in base64"),
        (",".join(["k:" + base64.b64encode(bytes(32)).decode()] * 2), "two keys are called 'k'"),
    ],
)
def test_c42_a_wrong_key_is_one_sentence_that_does_not_show_it(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        Keyring.parse(text)
    assert "umbel key" in str(caught.value) or "its own id" in str(caught.value)
    assert text.partition(":")[2] not in str(caught.value) or ":" not in text


def test_c42_keys_are_read_as_they_are_printed_and_shown_to_nobody() -> None:
    text = Keyring.fresh("k20260101")
    keys = Keyring.parse(f" {text} , old:{base64.urlsafe_b64encode(os.urandom(32)).decode()}")
    assert re.fullmatch(r"Keyring\(k20260101#[0-9a-f]{8}, old#[0-9a-f]{8}\)", repr(keys))
    assert repr(Keyring.parse(Keyring.fresh("k"))) != repr(Keyring.parse(Keyring.fresh("k")))
    assert Keyring.parse(text).open(keys.seal(b"x", BOUND), BOUND) == b"x"
    with pytest.raises(ConfigurationError, match="letters, digits"):
        Keyring.fresh("no:colon")
    with pytest.raises(ConfigurationError, match="'umbel key' prints a new one"):
        Keyring().seal(b"x", BOUND)
