"""C37: webhooks in: a signature that is right queues its job once, anything else nothing."""

import asyncio
import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from celery import _state
from fastapi import Depends, FastAPI
from standardwebhooks.webhooks import Webhook as Theirs

from umbel import IncomingWebhook, Settings, Task, Umbel
from umbel.errors import ConfigurationError

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    app = Umbel("shop", broker=f"sqlite:///{tmp_path / 'jobs.db'}", settings=Settings(), set_as_current=False)
    yield app
    app.engine.close()
    app.close()


@pytest.fixture
def book(jobs: Umbel) -> Task[..., Any]:
    @jobs.task(name="shop.book", shared=False)
    def book(event: Any, kind: str = "") -> None: ...

    return book


@pytest.fixture
def api(jobs: Umbel, book: Task[..., Any]) -> FastAPI:
    api = FastAPI()
    checked = jobs.incoming_webhook([SECRET, OLD], source="partner", most=1000)

    @api.post("/hook", status_code=202)
    async def hook(webhook: Annotated[IncomingWebhook, Depends(checked)]) -> dict[str, str]:
        result = await webhook.adispatch(book, webhook.json(), kind="x")
        return {"job": result.id}

    @api.post("/plain", status_code=202)
    def plain(webhook: Annotated[IncomingWebhook, Depends(checked)]) -> dict[str, str]:
        return {"job": webhook.dispatch(book, webhook.json()).id}

    return api


def headers_of(body: str, name: str = "m1", secret: str = SECRET, moment: float | None = None) -> dict[str, str]:
    from datetime import UTC, datetime

    now = datetime.fromtimestamp(int(time.time() if moment is None else moment), UTC)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Theirs(secret).sign(name, now, body),
    }


def post(api: FastAPI, body: str, headers: dict[str, str], path: str = "/hook") -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.post(path, content=body, headers=headers)

    return asyncio.run(ask())


def queued(jobs: Umbel) -> int:
    return sum(queue.ready for queue in jobs.engine.queues())


@pytest.mark.parametrize("path", ["/hook", "/plain"])
def test_c37_a_webhook_that_comes_again_queues_one_job(api: FastAPI, jobs: Umbel, path: str) -> None:
    body = '{"paid": 7}'
    answers = [post(api, body, headers_of(body, secret=secret), path) for secret in (SECRET, OLD, SECRET)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.json()["job"] for answer in answers}) == 1
    assert queued(jobs) == 1
    assert post(api, body, headers_of(body, "m2"), path).status_code == 202
    assert queued(jobs) == 2


def test_c37_webhooks_that_race_queue_one_job(api: FastAPI, jobs: Umbel) -> None:
    body = "{}"
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(api, body, headers_of(body)), range(24)))
    assert {answer.status_code for answer in answers} == {202}
    assert queued(jobs) == 1


def test_c37_what_is_not_signed_or_old_queues_nothing(
    api: FastAPI, jobs: Umbel, caplog: pytest.LogCaptureFixture
) -> None:
    body = "{}"
    right = headers_of(body)
    wrong = [
        {},
        {**right, "webhook-id": "m2"},
        {**right, "webhook-signature": "v1,AAAA"},
        headers_of(body, secret="whsec_" + base64.b64encode(b"x" * 32).decode()),
        headers_of(body, moment=time.time() - 3600),
        headers_of("{} "),
    ]
    for headers in wrong:
        answer = post(api, body, headers)
        assert (answer.status_code, answer.json()) == (401, {"detail": "The webhook's signature does not verify."})
    assert queued(jobs) == 0
    assert sum("was refused" in record.getMessage() for record in caplog.records) == len(wrong)
    assert post(api, body, right).status_code == 202


def test_c37_a_body_is_bounded(api: FastAPI, jobs: Umbel) -> None:
    body = '"' + "x" * 1000 + '"'
    assert post(api, body, headers_of(body)).status_code == 413
    assert queued(jobs) == 0


def test_c37_ids_of_two_senders_or_tasks_are_two(jobs: Umbel, book: Task[..., Any]) -> None:
    from datetime import UTC, datetime

    @jobs.task(name="shop.other", shared=False)
    def other(event: Any) -> None: ...

    one = {"id": "m", "sent": datetime.now(UTC), "body": b"{}"}
    first, second = IncomingWebhook(**one, source="a"), IncomingWebhook(**one, source="b")  # type: ignore[arg-type]
    ids = {webhook.job_id(task) for webhook in (first, second) for task in (book, other)}
    assert len(ids) == 4
    assert first.job_id(book) == IncomingWebhook(**one, source="a").job_id(book)  # type: ignore[arg-type]


def test_c3_a_secret_that_is_none_is_refused_at_once(jobs: Umbel) -> None:
    with pytest.raises(ConfigurationError, match=r"^jobs\.incoming_webhook: write whsec_"):
        jobs.incoming_webhook("secret")
