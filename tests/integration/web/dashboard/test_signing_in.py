"""Who comes in, as what, and for how long (C44)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from fastapi import FastAPI, Request

from tests.integration.web.dashboard.visitor import OPERATOR, OUTSIDE, VIEWER, Visitor, text_of
from umbel.errors import ConfigurationError
from umbel.settings import Settings
from umbel.web import WebUser
from umbel.web.signin.local import check_bind, is_local
from umbel.web.signin.next_page import next_page
from umbel.web.signin.tokens import Tokens

Make = Callable[..., FastAPI]
LOCAL = ("127.0.0.1", 50000)


def test_c44_strangers_get_the_sign_in_page_and_go_on_where_they_wanted(site: Make) -> None:
    visitor = Visitor(site())
    refused = visitor.get("/audit?failed=1")
    assert (refused.status_code, refused.headers["location"]) == (303, "/signin?next=%2Faudit%3Ffailed%3D1")
    assert "Sign in to shop" in text_of(visitor.get("/signin?next=%2Faudit%3Ffailed%3D1"))
    entered = visitor.sign_in(wanted="/audit?failed=1")
    assert (entered.status_code, entered.headers["location"]) == (303, "/audit?failed=1")
    assert "ann" in text_of(visitor.get("/audit?failed=1"))


def test_c44_programs_get_401_and_no_page(site: Make) -> None:
    client = Visitor(site()).client
    for path in ("/live", "/api/openapi.json", "/api/nothing", "/"):
        refused = client.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="Umbel"'), path
    assert client.get("/api/nothing").json()["type"] == "urn:umbel:problem:not-signed-in"


@pytest.mark.parametrize(("token", "role"), [(OPERATOR, "operator"), (VIEWER, "viewer")])
def test_c44_a_token_opens_it_as_bearer_or_as_password(site: Make, token: str, role: str) -> None:
    client = Visitor(site()).client
    by_name = client.get("/", auth=("bea", token))
    assert by_name.status_code == client.get("/", headers={"authorization": f"bearer  {token}"}).status_code == 200
    assert "bea" in text_of(by_name)
    assert ("may look" in text_of(by_name)) is (role == "viewer")
    assert role in text_of(client.get("/", auth=("", token)))


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer x", f"Bearer {OPERATOR}x", f"Bearer {OPERATOR[:-1]}", f"Token {OPERATOR}", "Basic !!!",
     "Basic /w==", f"Bearer {OPERATOR},{VIEWER}", "Bearer " + "x" * 9000],
)  # fmt: skip
def test_c44_a_wrong_token_is_refused(site: Make, given: str) -> None:
    assert Visitor(site()).client.get("/", headers={"authorization": given}).status_code == 401


def test_c44_a_wrong_token_beside_a_session_is_refused(ann: Visitor) -> None:
    assert ann.get("/").status_code == 200
    assert ann.client.get("/", headers={"authorization": "Bearer nonsense"}).status_code == 401


def test_c44_all_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However early one fits, as many digests are compared, and all of one length."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    tokens = Tokens(f"{OPERATOR},{OPERATOR}-older", VIEWER)
    monkeypatch.setattr("umbel.web.signin.tokens.hmac.compare_digest", compare)
    for given in (OPERATOR, VIEWER, "x", "y" * 1000):
        compared.clear()
        tokens.fingerprint(given)
        assert len(compared) == 3
        assert {len(part) for pair in compared for part in pair} == {32}


def test_c44_a_refused_sign_in_opens_nothing(site: Make) -> None:
    visitor = Visitor(site())
    refused = visitor.sign_in("no-token-of-ours-at-all")
    assert refused.status_code == 403
    assert "not a token of this dashboard" in text_of(refused)
    assert "no-token-of-ours-at-all" not in refused.text
    assert visitor.get("/").status_code == 303


def test_c44_a_token_is_changed_without_a_gap_and_ends_its_sessions_when_it_goes(site: Make) -> None:
    secret = {"web_secret": "a-secret-of-its-own-for-sessions"}
    for keeps in ({}, secret):
        visitor = Visitor(site(**keeps))
        visitor.sign_in()
        visitor.move(site(web_token=f"brand-new-token-of-ops,{OPERATOR}", **keeps))
        assert visitor.get("/").status_code == 200, "the old one still counts"
        newer = Visitor(site(web_token=f"brand-new-token-of-ops,{OPERATOR}", **keeps))
        assert newer.sign_in("brand-new-token-of-ops").status_code == 303
        for one in (visitor, newer):
            one.move(site(web_token="brand-new-token-of-ops", **keeps))
        assert visitor.get("/").status_code == 303, "the old one was taken away"
        assert newer.get("/").status_code == 200


def test_c44_a_session_has_the_role_that_its_token_has_today(site: Make) -> None:
    secret = {"web_secret": "a-secret-of-its-own-for-sessions"}
    visitor = Visitor(site(**secret))
    visitor.sign_in()
    visitor.move(site(web_token=None, web_viewer_token=OPERATOR, **secret))
    assert "may look" in text_of(visitor.get("/"))


def test_c44_sessions_end(site: Make) -> None:
    with time_machine.travel(1_790_000_000, tick=False) as clock:
        visitor = Visitor(site(web_session_age="1h"))
        visitor.sign_in()
        assert visitor.get("/").status_code == 200
        clock.shift(3601)
        (session,) = [one for one in visitor.client.cookies.jar if one.name.endswith("session")]
        session.expires = None
        assert visitor.get("/").status_code == 303, "also for a browser that keeps it"


def test_c44_signing_out_ends_it(ann: Visitor) -> None:
    gone = ann.submit("/", "/signout")
    assert (gone.status_code, gone.headers["location"]) == (303, "/signin")
    assert not [one for one in ann.client.cookies.jar if one.name.endswith("session")]
    assert ann.get("/").status_code == 303


def test_c44_a_session_cannot_be_made_changed_or_fixed(site: Make) -> None:
    visitor = Visitor(site())
    planted = "eyJuYW1lIjoiZXZlIn0.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"
    visitor.get("/signin")
    prefix = next(one.name for one in visitor.client.cookies.jar).rpartition("_")[0]
    visitor.client.cookies.set(f"{prefix}_session", planted, domain="ops.example.org")
    before = dict(visitor.client.cookies)
    assert visitor.get("/").status_code == 303
    visitor.sign_in()
    after = dict(visitor.client.cookies)
    assert all(after[name] != value for name, value in before.items()), "nothing from before is worth anything"
    (name, value) = next(pair for pair in after.items() if pair[0].endswith("session"))
    other = Visitor(site())
    other.client.cookies.set(name, value[:-2] + ("aa" if value[-2:] != "aa" else "bb"), domain="ops.example.org")
    assert other.get("/").status_code == 303
    elsewhere = Visitor(site(web_token="another-applications-token", web_viewer_token=None))
    elsewhere.client.cookies.set(name, value, domain="ops.example.org")
    assert elsewhere.get("/").status_code == 303


def test_c44_two_sign_ins_are_two_sessions(ann: Visitor) -> None:
    first = {one.name: one.value for one in ann.client.cookies.jar}
    ann.sign_in()
    second = {one.name: one.value for one in ann.client.cookies.jar}
    assert all(second[name] != value for name, value in first.items())


@pytest.mark.parametrize("secure", [True, False])
def test_c44_cookies_are_out_of_reach(site: Make, secure: bool) -> None:
    visitor = Visitor(site(), OUTSIDE if secure else "http://ops.example.org")
    answers = [visitor.get("/signin"), visitor.sign_in(), visitor.submit("/", "/theme", {"theme": "dark", "next": "/"})]
    cookies = [line for answer in answers for line in answer.headers.get_list("set-cookie")]
    assert {re.match(r"[-\w]+_(\w+)=", line)[1] for line in cookies} >= {"csrf", "session", "theme"}  # type: ignore[index]
    for line in cookies:
        assert "HttpOnly" in line
        assert "Path=/" in line
        assert re.search(r"SameSite=(strict|lax)", line)
        assert ("Secure" in line) is secure
        assert line.startswith("__Secure-umbel_") is secure
        assert "Domain" not in line


def test_c44_the_public_address_says_that_there_is_tls(site: Make) -> None:
    answer = Visitor(site(web_url=f"{OUTSIDE}/umbel"), "http://10.0.0.1:7788").get("/signin")
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "/\\evil.example", "https://evil.example", "\\\\evil.example", "javascript:alert(1)", "",
     "evil", "/\t/evil.example", "/%0d%0aset-cookie:x=y\r\nx: y", "/ /evil",
     "/" + "x" * 5000, "@evil.example", ".evil.example", "/é"],
)  # fmt: skip
def test_c44_nobody_is_led_elsewhere_after_signing_in(site: Make, wanted: str) -> None:
    visitor = Visitor(site())
    if len(wanted) < 4000:
        assert visitor.sign_in(wanted=wanted).headers["location"] == "/"
    assert next_page(wanted) == "/"
    assert next_page("/jobs?state=failed&text=a%20b") == "/jobs?state=failed&text=a%20b"


def test_c44_without_credentials_only_this_machine_is_answered(site: Make) -> None:
    open_site = site(web_token=None, web_viewer_token=None)
    for host in ("localhost:7788", "127.0.0.1:7788", "[::1]:7788", "localhost"):
        answer = Visitor(open_site, "http://127.0.0.1:7788", LOCAL).get("/", host=host)
        assert answer.status_code == 200, host
        assert "local" in text_of(answer)
    for host in (
        "evil.example:7788",
        "192.168.1.7",
        "localhost.evil.example",
        "",
        "[",
        "127.0.0.1.evil.example",
        "localhost:80@evil",
    ):
        refused = Visitor(open_site, "http://127.0.0.1:7788", LOCAL).get("/", host=host)
        assert refused.status_code == 403, "a foreign site may have rebound its name to this machine"
        assert "UMBEL_WEB_TOKEN" in refused.text
    for said in (
        {"x-forwarded-for": "192.0.2.1"},
        {"forwarded": "for=192.0.2.1"},
        {"sec-fetch-site": "same-origin", "referer": "https://shop.example.org/umbel/"},
        {"sec-fetch-site": "same-origin", "origin": "https://shop.example.org"},
        {"sec-fetch-site": "same-origin", "origin": "http://["},
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"origin": "https://evil.example", "authorization": "Bearer anything"},
        {"origin": "null"},
    ):
        proxied = Visitor(open_site, "http://127.0.0.1:7788", LOCAL).get("/", **said)
        assert proxied.status_code == 403, "somebody else asks, by a proxy on this machine"
    linked = {"sec-fetch-site": "cross-site", "referer": "https://docs.example.org/"}
    assert Visitor(open_site, "http://127.0.0.1:7788", LOCAL).get("/", **linked).status_code == 200, "a link to it"


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        (("127.0.0.1", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (None, False),
        (("", 1), False),
        (("10.0.0.7", 1), False),
    ],
)
def test_c44_a_forged_host_from_another_machine_is_refused(peer: Any, allowed: bool) -> None:
    scope = {"type": "http", "client": peer, "http_version": "1.1", "headers": [(b"host", b"localhost")]}
    assert is_local(scope) is allowed
    assert not is_local({**scope, "http_version": "1.0"}), "as nginx asks unless it is told otherwise"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_c44_loopback_needs_no_credentials(host: str) -> None:
    check_bind(host, Settings())


@pytest.mark.parametrize("host", ["::", "", "192.168.1.2", "jobs.example.org", "localhost.example.org", "0.0.0.0"])  # noqa: S104
def test_c44_it_refuses_the_network_without_credentials(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"UMBEL_WEB_TOKEN .*or bind to 127\.0\.0\.1"):
        check_bind(host, Settings())
    check_bind(host, Settings(web_token=OPERATOR))
    check_bind(host, Settings(web_viewer_token=VIEWER))
    check_bind(host, Settings(web_oidc_issuer="https://id.example.org"))


def test_c44_short_tokens_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="UMBEL_WEB_TOKEN: .*16 characters"):
        Settings.load(web_token="secret")
    with pytest.raises(ConfigurationError, match="UMBEL_WEB_VIEWER_TOKEN has a token of 5 characters"):
        Tokens(None, f"{VIEWER},short")


# -- the host application's own users -------------------------------------------------------------------------------


def staff(request: Request) -> WebUser | None:
    name = request.headers.get("x-user")
    return WebUser(name, "operator" if name == "ann" else "viewer") if name else None


async def staff_async(request: Request) -> WebUser | None:
    return staff(request)


@pytest.mark.parametrize("hook", [staff, staff_async])
def test_c44_the_host_application_says_who_its_users_are(site: Make, hook: Any) -> None:
    visitor = Visitor(site({"user": hook}, web_token=None, web_viewer_token=None))
    assert "ann" in text_of(visitor.get("/", **{"x-user": "ann"}))
    assert "may look" in text_of(visitor.get("/", **{"x-user": "vic"}))
    refused = visitor.get("/")
    assert refused.status_code == 403
    assert "no access" in text_of(refused)
    local = Visitor(site({"user": hook}, web_token=None, web_viewer_token=None), "http://127.0.0.1", LOCAL)
    assert local.get("/").status_code == 403, "this machine is no user of the host application"


def test_c44_strangers_go_to_the_host_applications_own_sign_in(site: Make) -> None:
    visitor = Visitor(site({"user": staff, "sign_in_url": "/login"}, web_token=None, web_viewer_token=None))
    assert visitor.get("/audit").headers["location"] == "/login"
    assert visitor.get("/signin").headers["location"] == "/", "there is nothing to do on ours"


def test_c44_tokens_work_beside_the_host_applications_users(site: Make) -> None:
    client = Visitor(site({"user": staff})).client
    assert client.get("/", headers={"authorization": f"Bearer {VIEWER}"}).status_code == 200
    known = {"authorization": "Bearer of-the-host-application", "x-user": "ann"}
    assert client.get("/", headers=known).status_code == 200, "the host application may know that header"
    assert client.get("/", headers={"authorization": "Bearer of-nobody-at-all"}).status_code == 401


def test_c44_a_role_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="admin"):
        WebUser("ann", "admin")
