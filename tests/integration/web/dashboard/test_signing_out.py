"""A session that was ended is over, whatever process answers and whoever kept its cookie (C44)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from tests.integration.web.dashboard.visitor import OPERATOR, VIEWER, Visitor, text_of
from umbel.errors import StoreUnreachable
from umbel.monitor.ended_sessions import EndedSession
from umbel.web.signin import ended

Make = Callable[..., FastAPI]


@pytest.fixture(autouse=True)
def each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others have ended is read with each request."""
    monkeypatch.setattr(ended, "KEPT", 0.0)


def kept(visitor: Visitor) -> Visitor:
    """Somebody else who has this browser's cookies."""
    other = Visitor(visitor.site)
    for one in visitor.client.cookies.jar:
        other.client.cookies.jar.set_cookie(one)
    return other


def test_c44_a_cookie_that_was_kept_is_worth_nothing_after_signing_out(site: Make) -> None:
    ann = Visitor(site())
    ann.sign_in()
    thief, elsewhere = kept(ann), kept(ann)
    elsewhere.move(site())
    later = Visitor(ann.site)
    later.sign_in()
    assert thief.get("/").status_code == elsewhere.get("/").status_code == 200
    ann.submit("/", "/signout")
    assert thief.get("/").status_code == 303
    assert elsewhere.get("/").status_code == 303, "another process knows it too"
    assert later.get("/").status_code == 200, "another session goes on"
    entries = later.site.state.site.app.history.audit.find().entries
    assert (entries[0].action, entries[0].actor) == ("session.end", "ann")


def test_c44_signing_out_everywhere_ends_all_that_one_has_and_no_others(site: Make) -> None:
    web, process = site(), site()
    ann, phone, bea, viewer = (Visitor(web) for _ in range(4))
    for one, token, name in ((ann, OPERATOR, "ann"), (phone, OPERATOR, "ann"), (bea, OPERATOR, "bea")):
        one.sign_in(token, name)
    viewer.sign_in(VIEWER, "ann")
    gone = ann.submit("/audit", "/signout", {"everywhere": "true"})
    assert "signed out everywhere" in text_of(ann.get(gone.headers["location"]))
    phone.move(process)
    assert phone.get("/").status_code == 303
    assert bea.get("/").status_code == viewer.get("/").status_code == 200, (
        "whoever calls themselves so by another token"
    )
    ann.sign_in()
    assert ann.get("/").status_code == 200, "what begins later"


def test_c44_while_the_database_is_away_what_is_known_counts(
    site: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    web = site()
    ann, phone = Visitor(web), Visitor(web)
    ann.sign_in()
    phone.sign_in()
    thief = kept(ann)

    def away(*_: Any) -> Any:
        raise StoreUnreachable("history", "gone", "Is it up?")

    monkeypatch.setattr("umbel.monitor.ended_sessions.EndedSessions.write", away)
    monkeypatch.setattr("umbel.monitor.ended_sessions.EndedSessions.since", away)
    gone = ann.submit("/", "/signout")
    assert "other processes of this dashboard may not know it" in text_of(ann.get(gone.headers["location"]))
    assert thief.get("/").status_code == 303, "this one does"
    assert phone.get("/").status_code == phone.get("/").status_code == 200, "whoever looks for what is wrong gets in"
    assert caplog.text.count("not known here now") == 1


def test_c44_nobody_waits_twice_for_a_database_that_hangs(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = Visitor(site())
    ann.sign_in()
    reading, hangs = threading.Event(), threading.Event()

    def hang(*_: Any) -> list[EndedSession]:
        reading.set()
        hangs.wait(60)
        return []

    monkeypatch.setattr("umbel.monitor.ended_sessions.EndedSessions.since", hang)
    monkeypatch.setattr(ended, "PATIENCE", 0.01)
    assert ann.get("/").status_code == 200
    monkeypatch.setattr(ended, "PATIENCE", 600.0)
    reading.clear()
    assert ann.get("/").status_code == 200
    assert not reading.is_set(), "and nobody asks it twice at a time"
    hangs.set()


def test_what_is_over_anyway_is_forgotten(site: Make) -> None:
    book = site().state.site.app.history.ended_sessions
    book.write(EndedSession("session a", 1000.0, 2000.0))
    book.write(EndedSession("session a", 1500.0, 3000.0))
    assert book.since(0.0) == [EndedSession("session a", 1500.0, 3000.0)]
    book.write(EndedSession("session b", 3500.0, 9000.0))
    assert [one.key for one in book.since(0.0)] == ["session b"]
    assert book.since(3501.0) == []
