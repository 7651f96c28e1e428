"""What the API answers when what it stands on is away, or was never there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.conftest import OPERATOR, Api
from tests.integration.operations.stand import Stand
from tests.integration.web.stub_app import serving
from umbel import Umbel
from umbel.errors import StoreUnreachable
from umbel.settings import Settings
from umbel.web.site import build_web


def away(*_: Any, **__: Any) -> None:
    raise StoreUnreachable("postgresql+psycopg://ann:***@db/shop", "it is away")


@pytest.mark.parametrize(
    "path", ["/jobs", "/jobs/a", "/bulk/jobs", "/audit", "/failures", "/metrics/series", "/alerts"]
)
def test_a_history_that_is_away_is_said(stand: Stand, api: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(stand.app.history.database), "reading", away)
    answer = api.get(path)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:umbel:problem:store-unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


def test_c44_nothing_is_done_that_could_not_be_written_down(
    stand: Stand, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.put("a")
    with monkeypatch.context() as patch:
        patch.setattr(stand.app.history.audit, "find", away)
        assert api.post("/jobs/a/cancel").status_code == 503
        assert api.post("/queues/celery/pause").status_code == 503
    assert stand.work() == ["a"]


def test_a_broker_that_cannot_be_asked_is_said(tmp_path: Path) -> None:
    settings = Settings.load(history_url=f"sqlite:///{tmp_path / 'history.db'}", data_dir=tmp_path, web_token=OPERATOR)
    app = Umbel("shop", broker="memory://", settings=settings, set_as_current=False)
    try:
        with serving(build_web(app)) as served, Api(f"{served}/api", OPERATOR) as api:
            answer = api.get("/queues")
            assert (answer.status_code, answer.headers["content-type"]) == (501, "application/problem+json")
            assert "memory" in answer.json()["detail"]
            assert api.get("/jobs").json() == {"jobs": [], "next": None}
    finally:
        app.close_databases()
        app.close()
