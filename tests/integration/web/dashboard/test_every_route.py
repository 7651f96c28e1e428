"""Every page, every form and every noun of the API, whoever wrote it: closed to strangers, and not to be acted on by
who may only look (C44)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI

from tests.integration.web.dashboard.visitor import OPERATOR, OUTSIDE, VIEWER, Visitor
from umbel.web.site import _routers

Make = Callable[..., FastAPI]
#: What is for everybody.
OPEN = {
    ("GET", "/healthz"), ("POST", "/theme"), ("GET", "/signin"), ("POST", "/signin"), ("GET", "/signin/openid"),
    ("GET", "/signin/callback"),
}  # fmt: skip
#: What those who look do too: it changes nothing but their own browser.
OWN = {("POST", "/signin"), ("POST", "/signout"), ("POST", "/theme")}


def routes() -> Iterator[tuple[str, str]]:
    """Yield the method and a path of each route; a path's parameters are as good as any."""
    for kind, router in _routers(frozenset()):
        for route in router.routes:
            path = str(route.path).replace("{digest}", "0").replace("{name:path}", "nothing")  # type: ignore[attr-defined]
            for method in sorted(route.methods - {"HEAD"}):  # type: ignore[attr-defined]
                yield method, ("/api" if kind == "api" else "") + re.sub(r"\{[^}]+\}", "1", path)


ROUTES = sorted(set(routes()))
UNSAFE = [(method, path) for method, path in ROUTES if method != "GET"]


@pytest.fixture
def web(site: Make) -> FastAPI:
    return site()


def test_there_are_routes() -> None:
    assert {("GET", "/"), ("GET", "/audit"), ("POST", "/theme")} <= set(ROUTES)
    assert len(UNSAFE) > 10


def test_c44_strangers_see_nothing(web: FastAPI) -> None:
    stranger = Visitor(web)
    for method, path in ROUTES:
        if (method, path) not in OPEN and not path.startswith("/static/"):
            answer = stranger.client.request(method, path)
            assert answer.status_code == 401, (method, path, answer.status_code)
            assert "shop.pack" not in answer.text


def test_c44_viewers_change_nothing(web: FastAPI) -> None:
    viewer = Visitor(web)
    for method, path in UNSAFE:
        if (method, path) not in OWN:
            answer = viewer.client.request(method, path, headers={"authorization": f"Bearer {VIEWER}"})
            assert answer.status_code == 403, (method, path, answer.status_code, answer.text)


def test_c44_a_forged_request_does_nothing(web: FastAPI) -> None:
    """With the session of an operator, from another site and from ours without its token."""
    ann = Visitor(web)
    ann.sign_in()
    for method, path in UNSAFE:
        for said in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-origin", "origin": OUTSIDE}):
            answer = ann.client.request(method, path, headers=said, data={"csrf_token": "0" * 64, "theme": "dark"})
            assert answer.status_code == 403, (method, path, said, answer.status_code, answer.text)


def test_no_page_fails_for_what_is_not_there(web: FastAPI) -> None:
    """Names and numbers that nothing has: an answer that says so, and no defect."""
    headers = {"authorization": f"Bearer {OPERATOR}", "accept": "text/html"}
    client = Visitor(web).client
    for method, path in ROUTES:
        if method == "GET" and not path.startswith(("/live", "/static/")) and not path.endswith(("/events", "/stream")):
            answer = client.get(path, headers=headers)
            assert answer.status_code < 500, (path, answer.status_code, answer.text)
