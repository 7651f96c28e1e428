"""What a request dispatches after its response: sent when that was sent, and dropped when the request failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import _state, chain
from fastapi import Depends, FastAPI, HTTPException, Response

from umbel import Settings, Task, Umbel
from umbel.errors import InvalidArguments, StoreUnreachable


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    app = Umbel("shop", broker=f"sqlite:///{tmp_path / 'jobs.db'}", settings=Settings(), set_as_current=False)
    yield app
    app.engine.close()
    app.close()


@pytest.fixture
def greet(jobs: Umbel) -> Task[..., Any]:
    @jobs.task(name="shop.greet", shared=False)
    def greet(name: str) -> str:
        return name

    return greet


def queued(jobs: Umbel) -> int:
    return sum(queue.ready for queue in jobs.engine.queues())


class Witness:
    """Counts the queued jobs at the moment at which the response has been sent."""

    def __init__(self, api: FastAPI, jobs: Umbel) -> None:
        self._api = api
        self._jobs = jobs
        self.seen: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.seen.append(queued(self._jobs))

        await self._api(scope, receive, watched)


Ask = Callable[..., tuple[int, list[int]]]


@pytest.fixture
def api(jobs: Umbel) -> FastAPI:
    return FastAPI(dependencies=[Depends(jobs.after_response())])


@pytest.fixture
def ask(jobs: Umbel, api: FastAPI) -> Ask:
    """Send one request; return its status, and how many jobs were queued when its response had been sent."""

    def ask(path: str) -> tuple[int, list[int]]:
        witness = Witness(api, jobs)

        async def get() -> int:
            transport = httpx.ASGITransport(witness, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return (await client.get(path)).status_code

        return asyncio.run(get()), witness.seen

    return ask


def test_jobs_go_out_after_the_response(api: FastAPI, ask: Ask, jobs: Umbel, greet: Task[..., Any]) -> None:
    @api.get("/async")
    async def async_endpoint() -> str:
        await greet.adelay("a")
        greet.delay("b")
        chain(greet.s("c"), greet.s()).apply_async()
        return (await greet.aapply_async(("d",), countdown=0)).id

    @api.get("/sync")
    def sync_endpoint() -> str:
        list(greet.enqueue_many(["a", "b"]))
        return str(jobs.send_task("shop.greet", ("c",)).id)

    assert ask("/async") == (200, [0])
    assert queued(jobs) == 4
    assert ask("/sync") == (200, [4])
    assert queued(jobs) == 7


@pytest.mark.parametrize("way", ["error", "refused", "status"])
def test_they_are_dropped_when_the_request_fails(
    api: FastAPI, ask: Ask, jobs: Umbel, greet: Task[..., Any], way: str
) -> None:
    @api.get("/")
    async def endpoint(response: Response) -> str:
        greet.delay("a")
        if way == "error":
            raise RuntimeError(way)
        if way == "refused":
            raise HTTPException(409)
        response.status_code = 503
        return way

    status, _ = ask("/")
    assert status == {"error": 500, "refused": 409, "status": 503}[way]
    assert queued(jobs) == 0


def test_they_are_dropped_when_the_response_cannot_be_sent(api: FastAPI, jobs: Umbel, greet: Task[..., Any]) -> None:
    @api.get("/")
    async def endpoint() -> str:
        greet.delay("a")
        return "ok"

    async def send(message: Any) -> None:
        raise OSError("the client is gone")

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/",
        "raw_path": b"/", "query_string": b"", "headers": [], "scheme": "http", "server": ("shop", 80),
        "client": ("c", 1), "root_path": "",
    }  # fmt: skip
    with pytest.raises(OSError, match="gone"):
        asyncio.run(api(scope, receive, send))
    assert queued(jobs) == 0


def test_wrong_arguments_are_the_requests_error(api: FastAPI, ask: Ask, greet: Task[..., Any]) -> None:
    @api.get("/")
    async def endpoint() -> str:
        with pytest.raises(InvalidArguments):
            greet.delay()
        raise HTTPException(422)

    assert ask("/")[0] == 422


def test_what_is_lost_is_logged_with_its_ids(
    api: FastAPI,
    ask: Ask,
    jobs: Umbel,
    greet: Task[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(messages: Any) -> int:
        raise StoreUnreachable("redis://there", "connection refused")

    @api.get("/")
    async def endpoint() -> str:
        greet.apply_async(("a",), task_id="the-job")
        return "ok"

    monkeypatch.setattr(jobs.engine, "enqueue", away)
    assert ask("/")[0] == 200
    assert "GET / was answered, and its 1 jobs could not be queued" in caplog.text
    assert "the-job" in caplog.text
