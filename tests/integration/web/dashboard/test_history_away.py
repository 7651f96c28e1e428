"""While the history's database is away, what the store knows is seen all the same: that is when somebody looks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import FastAPI

from tests.integration.monitor.events import Recorder, ended, ends, failure, queued
from tests.integration.web.dashboard.visitor import OPERATOR, Visitor, text_of
from umbel.engine.store import Outgoing
from umbel.errors import StoreUnreachable

_AWAY = "postgresql+psycopg://ann:secret@127.0.0.1:1/shop"
_ACTING = {"authorization": f"Bearer {OPERATOR}"}


@pytest.fixture
def away(site: Callable[..., FastAPI]) -> Visitor:
    web = site(history=True, history_url=_AWAY)
    web.state.site.app.engine.pause("mail")
    return Visitor(web)


def test_pages_of_what_is_live_are_there_and_say_what_is_missing(away: Visitor) -> None:
    for path in ("/", "/queues", "/queues/mail"):
        answer = away.get(path, **_ACTING)
        assert answer.status_code == 200, path
        assert "The history cannot be read now" in text_of(answer)
        assert "commands of umbel act all the same" in text_of(answer)
        assert "secret" not in answer.text
    for path in ("/workers", "/dead", "/schedules", "/api/queues", "/api/workers"):
        assert away.get(path, **_ACTING).status_code == 200, path


def test_a_job_is_shown_by_whichever_of_the_two_is_there(
    away: Visitor, site: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its whereabouts without the history, its attempts without the store."""
    waits = queued("a-job-that-waits", 1.0, queue="mail")
    away.site.state.site.app.engine.enqueue([Outgoing("mail", waits.payload, "a-job-that-waits")])
    answer = away.get("/jobs/a-job-that-waits", **_ACTING)
    assert answer.status_code == 200
    assert "is paused" in text_of(answer)
    assert "so its attempts, arguments and log lines are not shown" in text_of(answer)

    ann = Visitor(site(history=True))
    app = ann.site.state.site.app
    failed = failure("a-job-that-failed", message="the bank is closed")
    told = (queued("a-job-that-failed", 1.0), ends(ended("a-job-that-failed", "FAILURE", 2.0, document=failed)))
    Recorder(app.history).tell(*told)

    def refuse(*_: object) -> None:
        raise StoreUnreachable("redis://host", "refused")

    for name in ("locate", "queues"):
        monkeypatch.setattr(app.engine, name, refuse)
    assert ann.get("/jobs", **_ACTING).status_code == 200
    answer = ann.get("/jobs/a-job-that-failed", **_ACTING)
    assert answer.status_code == 200
    assert "the bank is closed" in text_of(answer)
    assert "Where it is now cannot be told. redis://host cannot be reached" in text_of(answer)
    assert ann.get("/jobs/never-heard-of", **_ACTING).status_code == 503


def test_what_only_the_history_knows_is_503(away: Visitor) -> None:
    for path in ("/jobs", "/failures", "/audit", "/api/jobs"):
        answer = away.get(path, **_ACTING)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), path


def test_c44_nothing_is_done_that_could_not_be_written_down(away: Visitor) -> None:
    assert away.client.post("/api/queues/mail/resume", headers=_ACTING).status_code == 503
    assert away.get("/api/queues/mail", **_ACTING).json()["paused"] is True
