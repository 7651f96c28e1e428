"""Signing in by OpenID Connect, at a provider that is a process of its own (C44)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import free_port
from tests.integration.web.dashboard.provider import CLIENT, SECRET
from tests.integration.web.dashboard.visitor import OUTSIDE, Visitor, application, text_of
from tests.integration.web.stub_app import until
from umbel.errors import ConfigurationError
from umbel.monitor.actors import Role
from umbel.web.signin.claims import RoleRules, name_of

Make = Callable[..., FastAPI]
ROOT = Path(__file__).resolve().parents[4]


class Provider:
    """The provider as tests see it."""

    def __init__(self) -> None:
        port = free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "tests.integration.web.dashboard.provider", str(port)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ)
        self.client = httpx.Client(timeout=60)
        until(self._answers, "the provider answers", 60)

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return self.client.get(f"{self.issuer}/keys").status_code == 200
        except httpx.ConnectError:
            return False

    def expect(self, claims: dict[str, Any], **more: Any) -> None:
        self.client.post(f"{self.issuer}/next", json={"claims": claims, **more}).raise_for_status()

    def close(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture
def visitor(site: Make, provider: Provider) -> Visitor:
    return Visitor(site(**settings(provider)))


def settings(provider: Provider, **more: Any) -> dict[str, Any]:
    return {
        "web_token": None,
        "web_viewer_token": None,
        "web_oidc_issuer": provider.issuer,
        "web_oidc_client_id": CLIENT,
        "web_oidc_client_secret": SECRET,
        "web_oidc_operators": "groups=ops, email=ann@example.org",
        "web_oidc_viewers": "groups=staff",
        **more,
    }


def go_through(visitor: Visitor, provider: Provider, wanted: str = "/audit") -> httpx.Response:
    """Go to the provider and come back, as a browser does."""
    there = visitor.get(f"/signin/openid?next={wanted}")
    assert there.status_code == 302, there.text
    back = provider.client.get(there.headers["location"])
    assert back.status_code == 302, back.text
    address = urlsplit(back.headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{visitor.address}/signin/callback"
    return visitor.get(f"{address.path}?{address.query}", **{"sec-fetch-site": "cross-site"})


def test_c44_a_role_by_a_claim(visitor: Visitor, provider: Provider) -> None:
    assert visitor.get("/audit").headers["location"] == "/signin?next=%2Faudit"
    assert "Sign in at 127.0.0.1" in text_of(visitor.get("/signin"))
    provider.expect({"sub": "1", "preferred_username": "ann", "groups": ["staff", "ops"]})
    entered = go_through(visitor, provider)
    assert (entered.status_code, entered.headers["location"]) == (303, "/audit")
    page = text_of(visitor.get("/audit"))
    assert "ann" in page
    assert "may look" not in page
    assert "openid" in page, "the sign-in stands in the audit log"
    provider.expect({"sub": "2", "name": "Vic", "groups": ["staff"]})
    assert go_through(visitor, provider).status_code == 303
    assert "may look" in text_of(visitor.get("/"))


def test_c44_groups_that_only_userinfo_tells(visitor: Visitor, provider: Provider) -> None:
    provider.expect({"sub": "1", "name": "ann"}, userinfo={"groups": ["ops"]})
    assert go_through(visitor, provider).status_code == 303
    other = Visitor(visitor.site)
    provider.expect({"sub": "1", "name": "ann"}, userinfo={"sub": "2", "groups": ["ops"]})
    assert go_through(other, provider).status_code == 403, "it tells of somebody else"


def test_c44_who_has_no_role_stays_outside(visitor: Visitor, provider: Provider) -> None:
    provider.expect({"sub": "3", "name": "<b>Eve", "groups": ["guests"], "email": "ann@example.org"})
    refused = go_through(visitor, provider)
    assert refused.status_code == 403
    assert "You are &lt;b&gt;Eve, and have no access" in refused.text
    assert visitor.get("/").status_code == 303


@pytest.mark.parametrize(
    "faults",
    [
        {"denied": 1},
        {"state": 1},
        {"forged": 1},
        {"aud": "another-client"},
        {"iss": "https://evil.example"},
        {"nonce": "another-nonce"},
        {"exp": 1_000_000_000},
    ],
    ids=str,
)
def test_c44_an_answer_that_is_not_right_is_refused(
    visitor: Visitor, provider: Provider, faults: dict[str, Any]
) -> None:
    provider.expect({"sub": "1", "name": "ann", "groups": ["ops"]}, faults=faults)
    refused = go_through(visitor, provider)
    assert refused.status_code == 403, refused.text
    assert visitor.get("/").status_code == 303
    provider.expect({"sub": "1", "name": "ann", "groups": ["ops"]})
    assert go_through(visitor, provider).status_code == 303, "and the next try works"


def test_c44_the_provider_changes_its_keys(visitor: Visitor, provider: Provider) -> None:
    for faults in ({}, {"rotate": 1}):
        provider.expect({"sub": "1", "name": "ann", "groups": ["ops"]}, faults=faults)
        assert go_through(visitor, provider).status_code == 303


def test_c44_an_answer_counts_for_the_browser_that_asked_and_once(visitor: Visitor, provider: Provider) -> None:
    """Nobody is signed in as somebody else by a link to the way back."""
    provider.expect({"sub": "1", "name": "ann", "groups": ["ops"]})
    there = visitor.get("/signin/openid")
    back = urlsplit(provider.client.get(there.headers["location"]).headers["location"])
    other = Visitor(visitor.site)
    assert other.get(f"{back.path}?{back.query}").status_code == 403
    assert visitor.get(f"{back.path}?{back.query}").status_code == 303
    assert visitor.get(f"{back.path}?{back.query}").status_code == 403
    assert visitor.get("/").status_code == 200


def test_c44_nobody_is_led_elsewhere(visitor: Visitor, provider: Provider) -> None:
    provider.expect({"sub": "1", "name": "ann", "groups": ["ops"]})
    assert go_through(visitor, provider, "//evil.example").headers["location"] == "/"


def test_the_public_address_is_where_people_come_back(site: Make, provider: Provider) -> None:
    visitor = Visitor(site(**settings(provider, web_url=f"{OUTSIDE}/umbel/")), "http://10.0.0.1")
    there = visitor.get("/signin/openid").headers["location"]
    assert parse_qs(urlsplit(there).query)["redirect_uri"] == [f"{OUTSIDE}/umbel/signin/callback"]


def test_a_provider_that_is_away_is_said(site: Make, provider: Provider) -> None:
    visitor = Visitor(site(**settings(provider, web_oidc_issuer=f"http://127.0.0.1:{free_port()}")))
    answer = visitor.get("/signin/openid")
    assert answer.status_code == 503
    assert "provider cannot be reached" in text_of(answer)
    wrong = Visitor(site(**settings(provider, web_oidc_issuer=provider.issuer.replace("127.0.0.1", "localhost"))))
    assert wrong.get("/signin/openid").status_code == 503, "it calls itself otherwise"


def test_c44_without_openid_its_sessions_end_and_its_pages_are_gone(
    visitor: Visitor, site: Make, provider: Provider
) -> None:
    provider.expect({"sub": "1", "name": "ann", "groups": ["ops"]})
    go_through(visitor, provider)
    keys = {"web_secret": SECRET, "web_token": "some-token-or-another"}
    visitor.move(site(**settings(provider, **keys)))
    assert visitor.get("/").status_code == 200, "signed with the same"
    visitor.move(site(**keys))
    assert visitor.get("/").status_code == 303
    assert visitor.get("/signin/openid").status_code == 404


def test_c44_whoever_has_another_role_by_now_ends_what_they_had(
    visitor: Visitor, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("umbel.web.signin.ended.KEPT", 0.0)
    bea = Visitor(visitor.site)
    for one, name in ((visitor, "ann"), (bea, "bea")):
        provider.expect({"sub": name, "name": name, "groups": ["ops"]})
        go_through(one, provider)
    phone = Visitor(visitor.site)
    provider.expect({"sub": "ann", "name": "ann", "groups": ["staff"]})
    go_through(phone, provider)
    assert visitor.get("/").status_code == 303, "she was an operator, and is none any more"
    assert phone.get("/").status_code == bea.get("/").status_code == 200


def test_c44_a_change_of_the_rules_ends_what_they_let_in(visitor: Visitor, site: Make, provider: Provider) -> None:
    provider.expect({"sub": "1", "name": "ann", "groups": ["ops"]})
    go_through(visitor, provider)
    visitor.move(site(**settings(provider)))
    assert visitor.get("/").status_code == 200
    visitor.move(site(**settings(provider, web_oidc_operators="groups=admins")))
    assert visitor.get("/").status_code == 303


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"web_oidc_client_id": None}, "UMBEL_WEB_OIDC_CLIENT_ID"),
        ({"web_oidc_client_secret": None}, "UMBEL_WEB_SECRET"),
        ({"web_oidc_operators": "", "web_oidc_viewers": ""}, "nobody would get in"),
        ({"web_oidc_operators": "ops"}, "'ops' is no rule"),
    ],
)
def test_what_is_missing_is_said_at_once(tmp_path: Path, more: dict[str, Any], sentence: str) -> None:
    known = {
        "web_oidc_issuer": "https://id.example.org",
        "web_oidc_client_id": CLIENT,
        "web_oidc_client_secret": SECRET,
    }
    with pytest.raises(ConfigurationError, match=sentence):
        application(tmp_path, **{**known, "web_oidc_viewers": "*", **more}).web()


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["ops"]}, Role.OPERATOR),
        ({"groups": "ops"}, Role.OPERATOR),
        ({"groups": ["ops2", "xops"]}, Role.VIEWER),
        ({"email": "ann@example.org", "email_verified": True}, Role.OPERATOR),
        ({"email": "ann@example.org"}, Role.VIEWER),
        ({"email": "ann@example.org", "email_verified": "true"}, Role.VIEWER),
        ({"realm_access": {"roles": ["chief"]}}, Role.OPERATOR),
        ({"https://example.org/roles": ["chief"]}, Role.OPERATOR),
        ({"admin": True}, Role.OPERATOR),
        ({"admin": 1}, Role.VIEWER),
        ({"groups": {"ops": 1}}, Role.VIEWER),
        ({}, Role.VIEWER),
    ],
    ids=str,
)
def test_rules(claims: dict[str, Any], role: Role) -> None:
    operators = [
        "groups=ops",
        "email=ann@example.org",
        "realm_access.roles=chief",
        "https://example.org/roles=chief",
        "admin=true",
    ]
    assert RoleRules(operators, ["*"]).role_of(claims) is role
    assert RoleRules(operators, []).role_of(claims) is (role if role is Role.OPERATOR else None)
    assert name_of(claims) == (claims["email"] if claims.get("email_verified") is True else "unknown")
