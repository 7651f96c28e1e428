"""While the history's database is away, what the store knows is seen all the same: that is when somebody looks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import FastAPI

from tests.integration.web.dashboard.visitor import OPERATOR, Visitor, text_of

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


def test_what_only_the_history_knows_is_503(away: Visitor) -> None:
    for path in ("/jobs", "/failures", "/audit", "/api/jobs"):
        answer = away.get(path, **_ACTING)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), path


def test_c44_nothing_is_done_that_could_not_be_written_down(away: Visitor) -> None:
    assert away.client.post("/api/queues/mail/resume", headers=_ACTING).status_code == 503
    assert away.get("/api/queues/mail", **_ACTING).json()["paused"] is True
