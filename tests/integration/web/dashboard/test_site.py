"""The frame of the dashboard: wherever it is mounted, what every answer has, what errors look like (C44)."""

from __future__ import annotations

import errno
import gzip
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse
from jinja2 import TemplateNotFound
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount

from tests.integration.web.dashboard.visitor import OPERATOR, Visitor, text_of
from tests.integration.web.stub_app import serving
from umbel import errors
from umbel.web import WebUser
from umbel.web.render import go_back, go_on, link

Make = Callable[..., FastAPI]
BEARER = {"authorization": f"Bearer {OPERATOR}", "accept": "text/html"}
STATIC = Path(__file__).resolve().parents[4] / "src" / "umbel" / "web" / "static"


def pages(web: FastAPI) -> list[str]:
    return [page.path for page in web.state.site.pages]


# -- mounted anywhere -----------------------------------------------------------------------------------------------


def in_fastapi(web: FastAPI) -> Any:
    host = FastAPI()
    host.mount("/tools/umbel", web)
    return host


def in_starlette(web: FastAPI) -> Any:
    return Starlette(routes=[Mount("/tools", routes=[Mount("/umbel", app=web)])])


@pytest.mark.parametrize("mounted", [in_fastapi, in_starlette])
def test_c44_it_works_below_any_prefix_of_any_application(site: Make, mounted: Callable[[FastAPI], Any]) -> None:
    web = site()
    visitor = Visitor(mounted(web))
    assert visitor.get("/tools/umbel/audit").headers["location"] == "/tools/umbel/signin?next=%2Faudit"
    entered = visitor.submit("/tools/umbel/signin", "/tools/umbel/signin", {"token": OPERATOR, "next": "/audit"})
    assert entered.headers["location"] == "/tools/umbel/audit"
    assert "Path=/tools/umbel;" in entered.headers["set-cookie"]
    all_stay_below(visitor.client, "/tools/umbel", web)


def test_c44_it_works_alone(ann: Visitor) -> None:
    all_stay_below(ann.client, "", ann.site)


def test_c44_it_works_behind_a_proxy_that_takes_its_prefix_off(site: Make) -> None:
    """As ``umbel web --root-path /ops`` does: the proxy asks for /audit where a browser asks for /ops/audit."""
    with serving(site(), root_path="/ops") as address, httpx.Client(base_url=address, timeout=60) as client:
        refused = client.get("/audit", headers={"accept": "text/html"})
        assert refused.headers["location"] == "/ops/signin?next=%2Faudit"
        page = client.get("/audit", headers=BEARER)
        links = Links()
        links.feed(page.text)
        assert links.found
        assert all(one.startswith("/ops/") for one in links.found if not one.startswith("#")), links.found
        for one in sorted(set(links.found)):
            if one.startswith("/ops/static/"):
                assert client.get(one.removeprefix("/ops")).status_code == 200, one


class Links(HTMLParser):
    """Every address of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.found += [known[name] or "" for name in ("href", "src", "action", "data-stream") if name in known]
        self.inline += [name for name in known if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in known):
            self.inline.append(tag)


def all_stay_below(client: httpx.Client, prefix: str, web: FastAPI) -> None:
    """Follow every address of every page."""
    for path in pages(web):
        answer = client.get(f"{prefix}{path}", headers=BEARER)
        assert answer.status_code == 200, answer.text
        links = Links()
        links.feed(answer.text)
        assert links.inline == [], "the policy allows nothing inline"
        for address in links.found:
            if not address.startswith("#"):
                assert address.startswith(f"{prefix}/"), address
        for address in sorted(set(links.found)):
            if address.startswith(f"{prefix}/static/"):
                assert client.get(address).status_code == 200, address


def test_the_host_applications_own_state_is_left_alone(site: Make) -> None:
    host = FastAPI()
    seen: list[Any] = []

    @host.middleware("http")
    async def own(request: Request, call: Any) -> Any:
        request.state.actor = "the host's"
        answer = await call(request)
        seen.append(request.state.actor)
        return answer

    host.mount("/umbel", site({"user": lambda request: WebUser(str(request.state.actor))}))
    assert "the host&#39;s" in Visitor(host).get("/umbel/").text
    assert seen == ["the host's"]


# -- what every answer has ------------------------------------------------------------------------------------------


@pytest.fixture
def troubled(site: Make) -> FastAPI:
    """A site whose handlers raise whatever there is."""
    web = site()
    router = APIRouter()
    raised: dict[str, Exception] = {
        "defect": RuntimeError("hunter2"),
        "store": errors.StoreReadOnly("/srv/umbel.db", "mode 0400"),
        "os": ConnectionRefusedError("hunter2"),
        "unreachable": OSError(errno.ENETUNREACH, "hunter2"),
        "file": FileNotFoundError("hunter2"),
        "template": TemplateNotFound("hunter2.html"),
        "job": errors.JobNotFound("abc"),
        "finished": errors.JobFinished("abc", "succeeded"),
        "configuration": errors.ConfigurationError("There is no history."),
    }

    def fail(name: str) -> Response:
        raise raised[name]

    router.add_api_route("/fail/{name}", fail)
    router.add_api_route("/api/fail/{name}", fail)
    router.add_api_route("/number/{number}", lambda number: PlainTextResponse(str(number)))
    web.include_router(router)
    return web


def test_c44_every_answer_has_the_headers(troubled: FastAPI) -> None:
    client = Visitor(troubled).client
    css = troubled.state.site.assets.address("base.css")
    for headers in ({}, BEARER):
        for path in (
            "/",
            "/healthz",
            "/nothing",
            css,
            "/signin",
            "/fail/defect",
            "/fail/store",
            "/api/fail/defect",
            "/live/x",
        ):
            answer = client.get(path, headers=headers)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'"), path
            assert "unsafe" not in policy
            assert "form-action 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            if path != css:
                assert answer.headers["cache-control"] == "no-store", path


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("defect", 500, "defect of ours"),
        ("store", 503, "cannot be written (mode 0400)"),
        ("os", 503, "cannot be reached now"),
        ("unreachable", 503, "cannot be reached now"),
        ("file", 500, "defect of ours"),
        ("template", 500, "defect of ours"),
        ("job", 404, "There is no job"),
        ("finished", 409, "already ended (succeeded)"),
        ("configuration", 501, "There is no history."),
    ],
)
def test_errors_are_a_page_for_people_and_a_document_for_programs(
    troubled: FastAPI, name: str, status: int, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Visitor(troubled).client
    page = client.get(f"/fail/{name}", headers=BEARER)
    assert page.status_code == status
    assert sentence in text_of(page)
    assert "hunter2" not in page.text
    document = client.get(f"/api/fail/{name}", headers=BEARER)
    assert (document.status_code, document.headers["content-type"]) == (status, "application/problem+json")
    assert document.json()["type"].startswith("urn:umbel:problem:")
    assert "hunter2" not in document.text
    assert "/srv/umbel.db" not in document.text, "where the store is stays in the log"
    assert ("Traceback" in caplog.text) is (status == 500)


def test_what_is_not_there_is_said(ann: Visitor) -> None:
    assert ann.get("/nothing").status_code == 404
    assert "There is no such page" in text_of(ann.get("/nothing"))
    assert ann.client.get("/api/nothing").json()["status"] == 404
    assert ann.client.delete("/audit").status_code == 405
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert ann.get(path).status_code == 404
    wrong = ann.get("/audit?before=x")
    assert wrong.status_code == 422
    assert "before: " in text_of(wrong)


def test_no_name_has_a_character_0(ann: Visitor) -> None:
    """PostgreSQL takes none in a text, so it was a 500 there."""
    for path in ("/jobs/%00", "/tasks/a%00b", "/jobs?text=%00", "/audit?actor=%00", "/autoscale?queue=%00"):
        assert ann.get(path).status_code == 422, path
    assert ann.submit("/jobs", "/jobs", {"act": "cancel", "text": "\0"}).status_code == 422
    assert ann.submit("/workers", "/limits/reset", {"name": "\0"}).status_code == 422


def test_bodies_are_bounded(ann: Visitor) -> None:
    answer = ann.send("/theme", {"theme": "dark", "more": "x" * 2_000_000})
    assert answer.status_code == 413
    assert "content-security-policy" in answer.headers


def test_health_tells_whether_the_store_answers_and_nothing_else(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    web = site()
    client = Visitor(web).client
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"status": "ok"})

    def away() -> Any:
        raise errors.StoreReadOnly("/srv/umbel.db", "mode 0400")

    monkeypatch.setattr(web.state.site.app.engine, "queues", away)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


# -- static files -----------------------------------------------------------------------------------------------------


def test_static_files_are_kept_for_ever_under_an_address_of_their_own(site: Make) -> None:
    web = site()
    client = Visitor(web).client
    address = web.state.site.assets.address("base.css")
    answer = client.get(address, headers={"accept-encoding": "identity"})
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.content == (STATIC / "base.css").read_bytes()
    packed = client.get(address, headers={"accept-encoding": "gzip"})
    assert (packed.headers["content-encoding"], packed.content) == ("gzip", answer.content)
    assert client.get("/static/of-another-release/base.css").headers["cache-control"] == "no-store"
    for name in ("nothing.css", "..%2fsite.py", "%2e%2e/site.py", ""):
        assert client.get(f"/static/{web.state.site.assets.digest}/{name}").status_code == 404


def test_static_files_are_small() -> None:
    """All of them together, and what a first visit costs."""
    files = [path.read_bytes() for path in STATIC.rglob("*") if path.is_file()]
    assert sum(map(len, files)) <= 100_000
    assert sum(len(gzip.compress(file)) for file in files) <= 30_000


def test_nothing_in_a_template_is_inline() -> None:
    """What the policy would refuse: styles and scripts within a page."""
    for path in (STATIC.parent / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", text), path.name


# -- themes, and going on after a form --------------------------------------------------------------------------------


def test_the_theme_is_kept(ann: Visitor) -> None:
    assert 'data-theme="auto"' in ann.get("/").text
    for theme in ("dark", "light", "auto"):
        assert ann.submit("/", "/theme", {"theme": theme, "next": "/audit"}).headers["location"] == "/audit"
        assert f'data-theme="{theme}"' in ann.get("/").text
    assert ann.submit("/", "/theme", {"theme": "pink", "next": "/"}).status_code == 422
    assert ann.submit("/", "/theme", {"theme": "dark", "next": "//evil.example"}).headers["location"] == "/"


def test_what_was_done_is_said_once(site: Make) -> None:
    web = site()
    router = APIRouter()

    @router.post("/go")
    def go(request: Request) -> Response:
        return go_on(request, "/audit", said="Queue é<b> is paused.", actor="ann")

    @router.post("/back")
    def back(request: Request) -> Response:
        return go_back(request, "//evil.example", said="That did not work.", wrong=True)

    web.include_router(router)
    visitor = Visitor(web)
    visitor.sign_in()
    assert visitor.submit("/", "/go").headers["location"] == "/audit?actor=ann"
    assert '<p class="said" role="status">Queue é&lt;b&gt; is paused.</p>' in visitor.get("/audit").text
    assert "is paused" not in visitor.get("/audit").text
    assert visitor.submit("/", "/back").headers["location"] == "/"
    assert '<p class="trouble" role="status">That did not work.</p>' in visitor.get("/").text


def test_addresses_hold_any_name() -> None:
    request = Request({"type": "http", "root_path": "/ops", "headers": []})
    assert link(request, "/queues/a b?c#d%é/\udce9", tag=["x&y", "z"], none=None) == (
        "/ops/queues/a%20b%3Fc%23d%25%C3%A9/%3F?tag=x%26y&tag=z"
    )


def test_the_navigation_shows_where_one_is(ann: Visitor) -> None:
    page = ann.get("/audit").text
    assert re.findall(r'<a href="([^"]+)" aria-current="page">', page) == ["/audit"]
    assert {"/", "/audit"} <= set(pages(ann.site))


def test_live_pages_are_told_when_something_has_changed(site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbel.web.live.HEARTBEAT", 1.5)
    web = site()
    app = web.state.site.app
    with serving(web) as address, httpx.Client(base_url=address, headers=BEARER, timeout=60) as client:
        with client.stream("GET", "/live") as stream:
            lines = stream.iter_lines()
            first = next(line for line in lines if line.startswith("id: "))
            app.send_task("shop.nothing")
            second = next(line for line in lines if line.startswith("id: "))
            assert first != second
        with client.stream("GET", "/live", headers={"last-event-id": second[4:]}) as stream:
            lines = (line for line in stream.iter_lines() if line)
            assert [next(lines), next(lines)] == ["retry: 2000", ": still here"], "it knows what this page has seen"
            app.send_task("shop.nothing")
            assert next(line for line in lines if line.startswith("id: ")) not in (first, second)
    assert Visitor(web).client.get("/live").status_code == 401
