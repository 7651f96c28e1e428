"""What a foreign page makes a signed-in browser send does nothing (C44)."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response

from tests.integration.web.dashboard.visitor import OPERATOR, OUTSIDE, VIEWER, Visitor, csrf_of, text_of
from umbel.web import WebUser
from umbel.web.signin.people import Operator, Viewer

Make = Callable[..., FastAPI]
done: list[str] = []


@pytest.fixture
def acting(site: Make) -> FastAPI:
    """A site with something to do, by a form and by JSON."""
    done.clear()
    web = site()
    router = APIRouter()

    @router.post("/act")
    @router.put("/act")
    @router.delete("/act")
    @router.patch("/act")
    def act(request: Request, by: Viewer) -> Response:
        """Ask for a viewer only: the site itself wants an operator for this."""
        done.append(by.name)
        return JSONResponse({"by": by.name})

    @router.get("/operators")
    def only_operators(by: Operator) -> Response:
        return JSONResponse({"by": by.name})

    web.include_router(router)
    return web


@pytest.fixture
def eve(acting: FastAPI) -> Visitor:
    """Ann's browser, which shows a page of Eve's beside ours."""
    visitor = Visitor(acting)
    visitor.sign_in()
    return visitor


def test_c44_our_own_form_is_taken(eve: Visitor) -> None:
    assert eve.submit("/", "/act").json() == {"by": "ann"}
    assert done == ["ann"]


@pytest.mark.parametrize(
    "said",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": OUTSIDE},
        {"sec-fetch-site": "", "origin": "https://evil.example"},
        {"sec-fetch-site": "", "origin": "null"},
        {"sec-fetch-site": "", "origin": "http://["},
        {"sec-fetch-site": "", "origin": "https://ops.example.org.evil.example"},
        {"sec-fetch-site": "", "origin": "https://ops.example.org:444"},
        {"sec-fetch-site": "", "origin": ""},
    ],
    ids=str,
)
def test_c44_another_page_is_refused_whatever_it_knows(eve: Visitor, said: dict[str, str]) -> None:
    """Even with the right token, but for a browser that says nothing at all: that is not told from a program."""
    answer = eve.submit("/", "/act", **said)
    assert answer.status_code == (200 if said.get("origin") == "" else 403), answer.text
    assert done == ([] if answer.status_code == 403 else ["ann"])


@pytest.mark.parametrize("token", ["", "0" * 64, "é" * 10, "x" * 100_000])
def test_c44_a_form_without_our_token_is_refused(eve: Visitor, token: str) -> None:
    answer = eve.send("/act", {"csrf_token": token} if token else {})
    assert answer.status_code == 403
    assert "too old to act on" in text_of(answer)
    assert done == []


def test_c44_a_token_of_another_browser_or_another_person_is_refused(eve: Visitor, acting: FastAPI) -> None:
    other = Visitor(acting)
    other.sign_in()
    assert eve.send("/act", {"csrf_token": csrf_of(other.get("/"))}).status_code == 403
    before = csrf_of(eve.get("/"))
    eve.sign_in(name="bob")
    assert eve.send("/act", {"csrf_token": before}).status_code == 403, "from before the sign-in"
    assert eve.submit("/", "/act").json() == {"by": "bob"}


def test_c44_a_token_counts_for_whom_it_was_made(site: Make) -> None:
    """Also where the browser keeps its cookies, as with the host application's users."""
    visitor = Visitor(site({"user": lambda request: WebUser(request.headers["x-user"])}))
    token = csrf_of(visitor.get("/", **{"x-user": "ann"}))
    form = {"csrf_token": token, "theme": "dark"}
    assert visitor.send("/theme", form, **{"x-user": "bob"}).status_code == 403
    assert visitor.send("/theme", form, **{"x-user": "ann"}).status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_c44_json_needs_the_token_as_a_header(eve: Visitor, method: str) -> None:
    token = csrf_of(eve.get("/"))
    said = {"origin": OUTSIDE, "sec-fetch-site": "same-origin"}
    assert eve.client.request(method, "/act", json={"csrf_token": token}, headers=said).status_code == 403
    assert done == []
    assert eve.client.request(method, "/act", headers={**said, "x-csrf-token": token}).status_code == 200


def test_c44_a_password_that_the_browser_adds_by_itself_is_no_proof(acting: FastAPI) -> None:
    visitor = Visitor(acting)
    basic = {"authorization": "Basic " + base64.b64encode(f"ann:{OPERATOR}".encode()).decode()}
    refused = visitor.client.post("/act", headers={**basic, "origin": "https://evil.example"})
    assert refused.status_code == 403
    assert visitor.client.post("/act", headers={**basic, "referer": "https://evil.example/"}).status_code == 403
    token = csrf_of(visitor.client.get("/", headers=basic))
    ours = {**basic, "origin": OUTSIDE, "x-csrf-token": token}
    assert visitor.client.post("/act", headers=ours).status_code == 200


def test_c44_programs_need_no_token_of_a_page(acting: FastAPI) -> None:
    client = Visitor(acting).client
    bearer = {"authorization": f"Bearer {OPERATOR}"}
    assert client.post("/act", headers=bearer).status_code == 200
    assert client.post("/act", auth=("robot", OPERATOR)).status_code == 200
    assert client.post("/act", headers=bearer | {"origin": "https://x"}).status_code == 200


def test_c44_a_bearer_token_that_means_nothing_excuses_nobody(site: Make) -> None:
    """Pages that the application around the dashboard shares its answers with may send any header that they like."""
    bearer = {"authorization": "Bearer anything", "origin": "https://evil.example"}
    theme = {"theme": "dark"}
    alone = Visitor(site(web_token=None, web_viewer_token=None), "http://127.0.0.1:7788", ("127.0.0.1", 1))
    assert alone.client.post("/theme", data=theme, headers=bearer | {"sec-fetch-site": "same-site"}).status_code == 403
    ours = {"origin": "http://127.0.0.1:7788", "authorization": "Bearer anything"}
    assert alone.client.post("/theme", data=theme, headers=ours).status_code == 403, "nor without the page's token"
    hosted = Visitor(site({"user": lambda _: WebUser("ann", "operator")})).client
    assert hosted.post("/theme", data=theme, headers=bearer).status_code == 303, "the host knows this one, not a cookie"
    assert hosted.post("/theme", data=theme, headers={**bearer, "cookie": "session=ann"}).status_code == 403
    ours = {"origin": OUTSIDE, "authorization": "Bearer anything", "cookie": "session=ann"}
    assert hosted.post("/theme", data=theme, headers=ours).status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_c44_a_viewer_changes_nothing_whatever_the_handler_asks_for(acting: FastAPI, method: str) -> None:
    vic = Visitor(acting)
    vic.sign_in(VIEWER, "vic")
    ours = {"origin": OUTSIDE, "sec-fetch-site": "same-origin", "x-csrf-token": csrf_of(vic.get("/"))}
    refused = vic.client.request(method, "/act", headers=ours)
    assert refused.status_code == 403
    assert "vic may look and not act" in text_of(refused)
    assert vic.client.request(method, "/act", headers={"authorization": f"Bearer {VIEWER}"}).status_code == 403
    assert done == []
    assert vic.get("/operators").status_code == 403
    assert vic.submit("/", "/theme", {"theme": "dark", "next": "/audit"}).headers["location"] == "/audit"


def test_c44_this_machine_is_protected_too(site: Make) -> None:
    web = site(web_token=None, web_viewer_token=None)
    visitor = Visitor(web, "http://127.0.0.1:7788", ("127.0.0.1", 5))
    chosen = {"theme": "dark", "next": "/"}
    assert visitor.submit("/", "/theme", chosen).status_code == 303
    assert (
        visitor.submit("/", "/theme", chosen, origin="https://evil.example", **{"sec-fetch-site": ""}).status_code
        == 403
    )


def test_c44_nobody_is_signed_in_as_somebody_else(site: Make) -> None:
    """A foreign page cannot send the sign-in form either."""
    visitor = Visitor(site())
    form = {"token": OPERATOR, "csrf_token": csrf_of(visitor.get("/signin"))}
    assert visitor.send("/signin", form, **{"sec-fetch-site": "cross-site"}).status_code == 403
    assert visitor.send("/signin", {"token": OPERATOR}).status_code == 403


def test_c44_our_own_address_behind_a_proxy_counts(site: Make) -> None:
    visitor = Visitor(site(web_url=f"{OUTSIDE}/umbel"), "http://10.0.0.1:7788")
    said = {"origin": OUTSIDE, "sec-fetch-site": ""}
    form = {"token": OPERATOR, "csrf_token": csrf_of(visitor.get("/signin"))}
    visitor.client.headers["cookie"] = "; ".join(f"{one.name}={one.value}" for one in visitor.client.cookies.jar)
    assert visitor.send("/signin", form, **said).status_code == 303
