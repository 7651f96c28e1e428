"""Who guesses waits: failed sign-ins are counted by address (C44)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from tests.integration.web.dashboard.visitor import OPERATOR, OUTSIDE, VIEWER, Visitor, text_of
from umbel.web import WebUser
from umbel.web.signin import throttle
from umbel.web.signin.throttle import Throttle

Make = Callable[..., FastAPI]


class Clock:
    """The monotonic clock, moved by hand."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttle, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def from_(site: FastAPI, address: str) -> Visitor:
    return Visitor(site, OUTSIDE, (address, 50000))


def test_c44_who_guesses_waits_and_nobody_else(site: Make, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "umbel.web")
    web = site()
    eve = from_(web, "192.0.2.7")
    for number in range(10):
        assert eve.sign_in(f"guess-number-{number}", f"eve{number}").status_code == 403
    for _ in range(3):
        held = eve.sign_in(OPERATOR, "eve")
        assert (held.status_code, held.headers["retry-after"]) == (429, "30"), "the right one is not listened to"
        assert "try again in 30 s" in text_of(held)
    assert caplog.text.count("Too many sign-ins have failed for '192.0.2.7'") == 1
    assert from_(web, "192.0.2.8").sign_in().status_code == 303
    clock.now += 29.5
    assert eve.sign_in().headers["retry-after"] == "1"
    clock.now += 0.5
    assert eve.sign_in("one-more-guess-is-free").status_code == 403
    assert eve.sign_in().status_code == 429
    clock.now += 30
    assert eve.sign_in().status_code == 303
    assert caplog.text.count("Too many") == 1, "once, until all of it is forgiven"
    clock.now += 3600
    for number in range(10):
        assert eve.sign_in(f"guess-number-{number}", f"eve{number}").status_code == 403
    assert eve.sign_in().status_code == 429, "ten again, and no more for having waited"
    assert caplog.text.count("Too many") == 2


def test_c44_nobody_keeps_another_person_out(site: Make, clock: Clock) -> None:
    web = site()
    eve = from_(web, "192.0.2.7")
    for number in range(11):
        eve.sign_in(f"guess-number-{number}", "ann")
    assert from_(web, "192.0.2.8").sign_in(OPERATOR, "ann").status_code == 303


def test_c44_tokens_in_headers_are_no_way_around_it(site: Make, clock: Clock) -> None:
    client = from_(site(), "192.0.2.7").client
    right, wrong = {"authorization": f"Bearer {OPERATOR}"}, {"authorization": "Bearer guessed-and-guessed"}
    for _ in range(60):
        assert client.get("/api/jobs", headers=wrong).status_code == 401
    for path in ("/api/jobs", "/metrics", "/"):
        held = client.get(path, headers=right)
        assert (held.status_code, held.headers["retry-after"]) == (429, "1"), path
    assert client.get("/api/jobs", headers=right).json()["type"] == "urn:umbel:problem:too-many-failures"
    assert client.get("/healthz", headers=right).status_code == 200
    clock.now += 1
    assert client.get("/api/jobs", headers=right).status_code == 200


def test_c44_a_header_that_the_host_application_knows_is_no_failure(site: Make, clock: Clock) -> None:
    client = Visitor(site({"user": lambda request: WebUser("ann")})).client
    for _ in range(70):
        assert client.get("/audit", headers={"authorization": "Bearer of-the-host"}).status_code == 200
    assert client.get("/audit", headers={"authorization": f"Bearer {VIEWER}"}).status_code == 200


def test_c44_a_network_of_one_person_is_one_address(site: Make, clock: Clock) -> None:
    web = site()
    for number in range(10):
        assert from_(web, f"2001:db8:1:2::{number:x}").sign_in("guess-and-guess-and", f"e{number}").status_code == 403
    assert from_(web, "2001:db8:1:2:ffff::1").sign_in().status_code == 429
    assert from_(web, "2001:db8:1:3::1").sign_in().status_code == 303
    for number in range(10):
        from_(web, "::ffff:192.0.2.7").sign_in("guess-and-guess-and", f"f{number}")
    assert from_(web, "192.0.2.7").sign_in().status_code == 429


def test_what_is_remembered_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "KEYS_MOST", 100)
    guarded = Throttle("tries", least=30, burst=1)
    for number in range(1000):
        guarded.failed(f"{number}" + "x" * 1000)
    assert len(guarded._known) == 100
    assert max(map(len, guarded._known)) == 200
    assert guarded.wait("999" + "x" * 1000) == 30
