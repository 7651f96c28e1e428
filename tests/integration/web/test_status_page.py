"""The status page: what it shows, and to whom (C4, C44)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.web.stub_app import DEADLINE, StubUmbel, serving
from umbel.engine.store import DeadLetter, QueueStatus, WorkerStatus
from umbel.errors import ConfigurationError, StoreReadOnly
from umbel.web.access import Access
from umbel.web.status_page import build_web, check_bind

TOKEN = "correct-horse-battery-staple"
Serve = Callable[..., httpx.Client]


class StubEngine:
    """An engine as far as the page reads it."""

    def __init__(self) -> None:
        self.queue_list: list[QueueStatus] = []
        self.worker_list: list[WorkerStatus] = []
        self.dead_list: list[DeadLetter] = []
        self.failure: Exception | None = None

    def queues(self) -> list[QueueStatus]:
        if self.failure is not None:
            raise self.failure
        return self.queue_list

    def workers(self) -> list[WorkerStatus]:
        return self.worker_list

    def dead(self, limit: int = 50) -> list[DeadLetter]:
        return self.dead_list[:limit]


@pytest.fixture
def engine() -> StubEngine:
    return StubEngine()


@pytest.fixture
def serve(engine: StubEngine) -> Iterator[Serve]:
    """Serve the page by a real Uvicorn; returns a client of it."""
    with ExitStack() as stack:

        def serve(token: str | None = None, main: str = "shop.jobs") -> httpx.Client:
            umbel = StubUmbel(engine=engine, main=main)
            address = stack.enter_context(serving(build_web(umbel, token=token)))  # type: ignore[arg-type]
            return stack.enter_context(httpx.Client(base_url=address, timeout=DEADLINE))

        yield serve


def letter(number: int = 1, **values: Any) -> DeadLetter:
    known = {"task_id": f"id-{number}", "task": "shop.pack", "queue": "default", "reason": "worker lost"}
    return DeadLetter(**{"id": number, "deliveries": 3, "died": 1_000.0, "payload": "SECRET"} | known | values)


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def test_an_empty_store_says_what_to_do(serve: Serve) -> None:
    text = text_of(serve().get("/"))
    assert "No queue yet" in text
    assert "No worker is running" in text
    assert "umbel worker" in text
    assert "No dead letters" in text


def test_it_shows_queues_workers_and_dead_letters_but_no_payload(serve: Serve, engine: StubEngine) -> None:
    engine.queue_list = [QueueStatus("email", 12_345, 7, 3, 1, 2), QueueStatus("images", 0, 0, 1, 0, 1)]
    engine.worker_list = [WorkerStatus(1, "mail@host", 4711, ("email", "images"), 10, 1_000.0, 4)]
    engine.dead_list = [letter(task=None, task_id=None, reason="undecodable")]
    answer = serve().get("/")
    text = text_of(answer)
    assert "email 12,345 7 3 1 2" in text
    assert "mail@host 4711 email, images 4 10" in text
    assert "unknown undecodable default none 3" in text
    assert "Waiting 12,345 For later 7 With a worker 4 Worker processes 1 Dead letters 1" in text
    assert "SECRET" not in answer.text
    assert 'class="trouble"' not in answer.text


def test_c4_a_queue_without_a_consumer_is_marked_and_comes_first(serve: Serve, engine: StubEngine) -> None:
    engine.queue_list = [QueueStatus("aaa", 0, 0, 0, 0, 1), QueueStatus("email", 2, 0, 0, 0, 0)]
    engine.worker_list = [WorkerStatus(1, "w@h", 1, ("aaa",), 10, 0.0, 0)]
    answer = serve().get("/")
    text = text_of(answer)
    assert "No worker consumes email" in text
    assert "email 2 0 0 0 no consumer" in text
    assert text.index("email 2") < text.index("aaa 0")
    assert answer.text.count('class="unserved"') == 1


def test_a_paused_queue_is_marked(serve: Serve, engine: StubEngine) -> None:
    engine.queue_list = [QueueStatus("email", 2, 0, 0, 0, 1, paused=True)]
    text = text_of(serve().get("/"))
    assert "email paused 2" in text
    assert "Queue email is paused" in text


def test_more_dead_letters_than_fit_are_said(serve: Serve, engine: StubEngine) -> None:
    engine.dead_list = [letter(number) for number in range(40)]
    text = text_of(serve().get("/"))
    assert "Dead letters 20+" in text
    assert text.count("worker lost") == 20


def test_c44_what_jobs_name_themselves_is_escaped(serve: Serve, engine: StubEngine) -> None:
    evil = "<script>alert(1)</script>\"'"
    engine.queue_list = [QueueStatus(evil, 1, 0, 0, 0, 0)]
    engine.worker_list = [WorkerStatus(1, evil, 1, (evil,), 1, 0.0, 0)]
    engine.dead_list = [letter(task=evil, task_id=evil, queue=evil, reason=evil)]
    answer = serve(main=evil).get("/")
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert" in answer.text


def test_c44_the_policy_is_strict_and_nothing_is_inline(serve: Serve) -> None:
    client = serve()
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)", answer.text)
    for address in re.findall(r'(?:href|src)="([^"]+)"', answer.text):
        assert client.get(f"/{address}").status_code == 200, address


def test_c44_every_answer_has_the_headers_refusals_too(serve: Serve) -> None:
    client = serve(token=TOKEN)
    for path in ("/", "/healthz", "/nothing", "/static/umbel.css"):
        assert "content-security-policy" in client.get(path).headers


def test_c44_a_token_opens_it_as_bearer_or_as_password(serve: Serve) -> None:
    client = serve(token=TOKEN)
    refused = client.get("/")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert client.get("/static/umbel.css").status_code == 401
    assert client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/", auth=("anyone", TOKEN)).status_code == 200
    host = {"Host": "jobs.example.org"}
    assert client.get("/", auth=("anyone", TOKEN), headers=host).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer x",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Token {TOKEN}",
        "Basic !!!",
        "Basic /w==",
    ],
)
def test_c44_a_wrong_token_is_refused(serve: Serve, given: str) -> None:
    assert serve(token=TOKEN).get("/", headers={"Authorization": given}).status_code == 401


def test_c44_without_a_token_only_this_machine_is_answered(serve: Serve) -> None:
    client = serve()
    port = client.base_url.port
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "localhost"):
        assert client.get("/", headers={"Host": host}).status_code == 200, host
    for host in (f"evil.example:{port}", "192.168.1.7", "localhost.evil.example", "", "[", "127.0.0.1.evil.example"):
        refused = client.get("/", headers={"Host": host})
        assert refused.status_code == 403, "a foreign site may have rebound its name to this machine"
        assert "UMBEL_WEB_TOKEN" in refused.text


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        (("127.0.0.1", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (None, True),
        (("10.0.0.7", 1), False),
    ],
)
def test_c44_a_forged_host_from_another_machine_is_refused(peer: Any, allowed: bool) -> None:
    scope = {"type": "http", "path": "/", "client": peer, "headers": [(b"host", b"localhost")]}
    refusal = Access(None, None)._refusal(scope)  # type: ignore[arg-type]
    assert (refusal is None) is allowed


def test_c44_the_environment_gives_the_token(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_WEB_TOKEN", TOKEN)
    client = serve()
    assert client.get("/").status_code == 401
    assert client.get("/", auth=("", TOKEN)).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_c44_loopback_needs_no_credentials(host: str) -> None:
    check_bind(host)


@pytest.mark.parametrize("host", ["::", "", "192.168.1.2", "jobs.example.org", "localhost.example.org", "0.0.0.0"])  # noqa: S104
def test_c44_it_refuses_the_network_without_credentials(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"UMBEL_WEB_TOKEN .*or bind to 127\.0\.0\.1"):
        check_bind(host)
    with pytest.raises(ConfigurationError, match="has 6 characters"):
        check_bind(host, "secret")
    check_bind(host, TOKEN)
    monkeypatch.setenv("UMBEL_WEB_TOKEN", TOKEN)
    check_bind(host)


def test_health_tells_whether_the_store_answers_and_nothing_else(serve: Serve, engine: StubEngine) -> None:
    client = serve(token=TOKEN)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    engine.failure = StoreReadOnly("/srv/umbel.db", "mode 0400")
    client = serve(token=TOKEN)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


def test_a_store_that_is_away_is_said_in_one_sentence(serve: Serve, engine: StubEngine) -> None:
    engine.failure = StoreReadOnly("/srv/umbel.db", "mode 0400")
    answer = serve().get("/")
    assert answer.status_code == 503
    assert "cannot be written (mode 0400)" in answer.text
    assert "<main>" in answer.text, "the script renews it once the store is back"


def test_it_can_be_mounted_in_another_application(engine: StubEngine) -> None:
    api = FastAPI()
    api.mount("/umbel", build_web(StubUmbel(engine=engine), token=TOKEN))  # type: ignore[arg-type]
    with serving(api) as address, httpx.Client(auth=("", TOKEN), follow_redirects=True) as client:
        page = client.get(f"{address}/umbel")
        assert "No queue yet" in text_of(page)
        assert client.get(page.url.join("static/umbel.css")).status_code == 200
        assert httpx.get(f"{address}/umbel/healthz").status_code == 200
        assert httpx.get(f"{address}/umbel/").status_code == 401


def test_c44_it_changes_nothing(serve: Serve) -> None:
    client = serve()
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/").status_code == 405
    assert client.get("/docs").status_code == client.get("/openapi.json").status_code == 404
