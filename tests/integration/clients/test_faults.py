"""C27: what real clients raise against real servers that refuse, fail, fall silent and hang up."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import aiosmtplib
import httpx
import pytest
import requests

from tests.integration.clients.http_side import HttpSide, http_side, refusing_port
from tests.integration.clients.smtp_side import hanging_up, smtp_side
from umbel import Fault, Outlook, Retry, fault_of

Ask = Callable[..., None]


@pytest.fixture(scope="module")
def server() -> Iterator[HttpSide]:
    with http_side() as running:
        yield running


@pytest.fixture(scope="module")
def mail() -> Iterator[int]:
    with smtp_side() as port:
        yield port


def _patience(url: str) -> float:
    """How long to wait for an answer: in vain only where there will be none."""
    return 0.3 if url.endswith("/silent") else 30.0


def _httpx(method: str, url: str, **options: Any) -> None:
    with httpx.Client(timeout=httpx.Timeout(30.0, read=_patience(url)), trust_env=False) as client:
        client.request(method, url, **options).raise_for_status()


def _httpx_async(method: str, url: str, **options: Any) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(timeout=httpx.Timeout(30.0, read=_patience(url)), trust_env=False) as client:
            (await client.request(method, url, **options)).raise_for_status()

    asyncio.run(ask())


def _requests(method: str, url: str, **options: Any) -> None:
    with requests.Session() as session:
        session.trust_env = False
        with session.request(method, url, timeout=(30.0, _patience(url)), **options) as answer:
            answer.raise_for_status()


ASKS = pytest.mark.parametrize("ask", [_httpx, _httpx_async, _requests], ids=["httpx", "httpx-async", "requests"])


def fault(act: Callable[[], None], **options: Any) -> Fault:
    with pytest.raises(Exception) as caught:
        act()
    found = fault_of(caught.value, **options)
    assert found is not None, f"{caught.value!r} is not known"
    return found


# -- HTTP -----------------------------------------------------------------------------------------------------------


@ASKS
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("code", [429, 503])
def test_c27_try_later_is_tried_later(server: HttpSide, ask: Ask, method: str, code: int) -> None:
    found = fault(lambda: ask(method, server.url(f"/status/{code}?after=7")))
    assert (found.outlook, found.code, found.wait) == (Outlook.REFUSED, code, timedelta(seconds=7))
    assert found.passing


@ASKS
@pytest.mark.parametrize("code", [400, 401, 404, 409, 422])
def test_c27_other_4xx_never(server: HttpSide, ask: Ask, code: int) -> None:
    found = fault(lambda: ask("GET", server.url(f"/status/{code}?after=7")), idempotent=True)
    assert (found.outlook, found.code, found.wait) == (Outlook.DENIED, code, None)
    assert not found.passing


@ASKS
@pytest.mark.parametrize(
    ("method", "headers", "passing"),
    [
        ("GET", {}, True),
        ("PUT", {}, True),
        ("DELETE", {}, True),
        ("POST", {}, False),
        ("PATCH", {}, False),
        ("POST", {"Idempotency-Key": "order-7"}, True),
        ("POST", {"idempotency-key": "order-7"}, True),
        ("POST", {"Idempotency-Key": ""}, False),
    ],
)
@pytest.mark.parametrize("path", ["/silent", "/drop", "/status/500", "/status/502"])
def test_c27_an_answer_that_never_came(
    server: HttpSide, ask: Ask, method: str, headers: dict[str, str], passing: bool, path: str
) -> None:
    found = fault(lambda: ask(method, server.url(path), headers=headers))
    assert found.outlook is Outlook.UNSURE
    assert found.passing is passing


@ASKS
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_c27_an_answer_that_breaks_off(server: HttpSide, ask: Ask, method: str) -> None:
    """C27: requests does not say there what had been asked for, so that it counts as what may not be repeated."""
    found = fault(lambda: ask(method, server.url("/cut")))
    assert found.outlook is Outlook.UNSURE
    assert found.passing is (method == "GET" and ask is not _requests)


@ASKS
def test_c27_an_answer_that_never_came_to_what_is_declared_idempotent(server: HttpSide, ask: Ask) -> None:
    assert fault(lambda: ask("POST", server.url("/drop")), idempotent=True).passing


@ASKS
def test_c27_nobody_listens(ask: Ask) -> None:
    with refusing_port() as port:
        found = fault(lambda: ask("POST", f"http://127.0.0.1:{port}/"))
    assert found.outlook is Outlook.REFUSED


@ASKS
def test_c27_no_such_host(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = fault(lambda: ask("POST", "http://nobody.invalid/"))
    assert found.outlook is Outlook.REFUSED


@ASKS
@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://127.0.0.1:port/"])
def test_c27_a_url_that_is_none_never(ask: Ask, url: str) -> None:
    assert fault(lambda: ask("GET", url)).outlook is Outlook.DENIED


# -- SMTP -----------------------------------------------------------------------------------------------------------


def _smtplib(port: int, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.sendmail("me@shop.example", list(recipients), "Subject: hello\r\n\r\nhello")


def _aiosmtplib(port: int, *recipients: str) -> None:
    async def send() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=10, start_tls=False) as client:
            await client.sendmail("me@shop.example", list(recipients), "Subject: hello\r\n\r\nhello")

    asyncio.run(send())


SENDS = pytest.mark.parametrize("send", [_smtplib, _aiosmtplib], ids=["smtplib", "aiosmtplib"])


@SENDS
@pytest.mark.parametrize("where", ["rcpt", "data"])
@pytest.mark.parametrize(("code", "outlook"), [(450, Outlook.REFUSED), (452, Outlook.REFUSED), (550, Outlook.DENIED)])
def test_c27_smtp_4xx_later_and_5xx_never(mail: int, send: Ask, where: str, code: int, outlook: Outlook) -> None:
    found = fault(lambda: send(mail, f"{code}@{where}.example"), idempotent=True)
    assert (found.outlook, found.code) == (outlook, code)


@SENDS
def test_c27_one_recipient_that_may_be_taken_later_is_enough(mail: int, send: Ask) -> None:
    found = fault(lambda: send(mail, "550@rcpt.example", "451@rcpt.example"))
    assert (found.outlook, found.code) == (Outlook.REFUSED, 451)


@SENDS
def test_c27_a_mail_server_that_is_not_there(send: Ask) -> None:
    with refusing_port() as port:
        assert fault(lambda: send(port, "you@shop.example")).outlook is Outlook.REFUSED


@SENDS
@pytest.mark.parametrize(
    ("greeting", "outlook"), [(b"421 later\r\n", Outlook.REFUSED), (b"554 no\r\n", Outlook.DENIED)]
)
def test_c27_a_mail_server_that_greets_with_a_refusal(send: Ask, greeting: bytes, outlook: Outlook) -> None:
    with hanging_up(greeting, b"") as port:
        assert fault(lambda: send(port, "you@shop.example")).outlook is outlook


@SENDS
def test_c27_a_mail_server_that_hangs_up_over_the_letter(send: Ask) -> None:
    """C27: it may have been delivered, so it is sent again only where that is declared harmless."""
    with hanging_up(b"220 hello\r\n", b".") as port:
        found = fault(lambda: send(port, "you@shop.example"))
        assert (found.outlook, found.passing) == (Outlook.UNSURE, False)
        assert fault(lambda: send(port, "you@shop.example"), idempotent=True).passing


# -- the declaration that uses it -----------------------------------------------------------------------------------


def _error(act: Callable[[], None]) -> Exception:
    with pytest.raises(Exception) as caught:
        act()
    return caught.value


def test_c27_a_named_class_does_not_make_a_lost_post_safe(server: HttpSide) -> None:
    lost = _error(lambda: _httpx("POST", server.url("/drop")))
    gone = _error(lambda: _httpx("GET", server.url("/status/404")))
    for on in ("transient", httpx.HTTPError, Exception):
        assert not Retry(3, on=on).catches(lost)
        assert not Retry(3, on=on).catches(gone)
    assert Retry(3, on=httpx.HTTPError, idempotent=True).catches(lost)
    assert Retry(3, on="transient", idempotent=True).catches(lost)
    assert Retry(3, on=lambda error: error is gone).catches(gone)


def test_c27_transient_is_that_and_nothing_else(server: HttpSide) -> None:
    retry = Retry(3, on="transient")
    assert retry.catches(_error(lambda: _httpx("GET", server.url("/silent"))))
    assert retry.catches(ConnectionRefusedError())
    assert not retry.catches(ConnectionResetError())
    assert not retry.catches(KeyError())
    assert Retry(3, on=("transient", KeyError)).catches(KeyError())
    assert not Retry(3, on="transient", never=httpx.HTTPError).catches(
        _error(lambda: _httpx("GET", server.url("/status/503")))
    )


def test_c27_nothing_is_imported_to_look() -> None:
    program = (
        "import sys; from umbel import Retry, fault_of\n"
        "assert fault_of(ValueError()) is None\n"
        "assert Retry(3).catches(ValueError())\n"
        "loaded = {'httpx', 'requests', 'aiosmtplib'} & sys.modules.keys()\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
