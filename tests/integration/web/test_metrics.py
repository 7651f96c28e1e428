"""``/metrics`` and ``/autoscale``, as another program asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.web.stub_app import serving
from umbel import Settings, Umbel
from umbel.engine.store import Outgoing
from umbel.errors import StoreUnreachable
from umbel.testing.contract._suite import payload


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load(history=True, concurrency=5, history_url=f"sqlite:///{tmp_path / 'history.db'}")
    made = Umbel("shop", broker=f"sqlite:///{tmp_path / 'jobs.db'}", settings=settings, set_as_current=False)
    yield made
    made.engine.close()
    made.close_databases()
    made.close()


@pytest.fixture
def address(app: Umbel) -> Iterator[str]:
    host = FastAPI()
    host.mount("/ops", app.web())
    with serving(host) as found:
        yield f"{found}/ops"


def test_prometheus_reads_it(address: str, app: Umbel) -> None:
    app.engine.enqueue([Outgoing("mail", payload("a"), "a")])
    answer = httpx.get(f"{address}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    assert 'umbel_queue_jobs{queue="mail",state="ready"} 1.0' in answer.text
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    answer = httpx.get(f"{address}/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_an_autoscaler_reads_a_number(address: str, app: Umbel) -> None:
    app.engine.enqueue([Outgoing("mail", payload(f"a{one}"), f"a{one}") for one in range(600)])
    body = httpx.get(f"{address}/autoscale").json()
    assert (body["backlog"], body["replicas"], body["slots"], body["run"]) == (600, 0, 5, None)
    # Of a second each, as nobody knows better: ten slots to work them off in a minute, of which four fifths are used.
    assert (body["wanted_slots"], body["wanted"]) == (10, 3)
    assert httpx.get(f"{address}/autoscale?queue=mail&max=2").json()["wanted"] == 2
    assert httpx.get(f"{address}/autoscale?queue=other&min=0").json()["wanted"] == 0
    assert httpx.get(f"{address}/autoscale?drain=600&slots=100").json()["wanted"] == 1
    assert httpx.get(f"{address}/autoscale?min=9&max=3").json()["wanted"] == 9


@pytest.mark.parametrize("query", ["min=-1", "max=0", "max=1e9", "drain=0", "slots=x", f"queue={'q' * 300}", "hold=-1"])
def test_what_makes_no_sense_is_refused(address: str, query: str) -> None:
    assert httpx.get(f"{address}/autoscale?{query}").status_code == 422


def test_a_store_that_is_away_is_said(address: str, app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise StoreUnreachable("redis://host", "refused")

    monkeypatch.setattr(type(app.engine), "queues", away)
    answer = httpx.get(f"{address}/metrics")
    assert answer.status_code == 200
    assert "umbel_store_up 0.0" in answer.text
    answer = httpx.get(f"{address}/autoscale")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:umbel:problem:store-unavailable"


@pytest.mark.parametrize("path", ["metrics", "autoscale"])
@pytest.mark.parametrize("is_open", [False, True])
def test_c44_who_may_ask(path: str, is_open: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    token = "0123456789abcdef"
    settings = Settings.load(web_token=token, metrics_open=is_open, history=False)
    app = Umbel("shop", broker=f"sqlite:///{tmp_path / 'jobs.db'}", settings=settings, set_as_current=False)
    with serving(app.web()) as address:
        assert httpx.get(f"{address}/{path}").status_code == (200 if is_open else 401)
        assert httpx.get(f"{address}/{path}", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert httpx.get(f"{address}/api/openapi.json").status_code == 401
    app.engine.close()
    app.close()
