"""Somebody who looks at the dashboard with a browser, as far as HTTP goes: cookies, forms, and what browsers add."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from umbel import Settings, Umbel

__all__ = ["OPERATOR", "OUTSIDE", "VIEWER", "Visitor", "application", "csrf_of", "text_of"]

OPERATOR = "correct-horse-battery-staple"
VIEWER = "only-looking-around-here"
OUTSIDE = "https://ops.example.org"


def application(folder: Path, **settings: Any) -> Umbel:
    """An application on a real file of its own."""
    return Umbel("shop", settings=Settings(data_dir=folder, **settings))


class InProcess(httpx.BaseTransport):
    """Asks an ASGI application without a server."""

    def __init__(self, site: Any, peer: tuple[str, int]) -> None:
        self._transport = httpx.ASGITransport(site, raise_app_exceptions=False, client=peer)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._ask(request))

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        content = request.read()
        answer = await self._transport.handle_async_request(
            httpx.Request(request.method, request.url, headers=request.headers, content=content)
        )
        packed = b"".join([part async for part in answer.stream])  # type: ignore[union-attr]
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(packed))


class Visitor:
    """One browser at one address; follows no redirect by itself."""

    def __init__(self, site: Any, address: str = OUTSIDE, peer: tuple[str, int] = ("192.0.2.7", 50000)) -> None:
        self.site = site
        self.address = address
        self.peer = peer
        self.client = httpx.Client(base_url=address, transport=InProcess(site, peer))

    def move(self, site: Any) -> None:
        """Go on with the same cookies after the site was started anew."""
        self.site = site
        known = self.client.cookies
        self.client = httpx.Client(base_url=self.address, transport=InProcess(site, self.peer), cookies=known)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers={"accept": "text/html", "sec-fetch-site": "none", **headers})

    def submit(self, page: str, action: str, data: Mapping[str, Any] | None = None, **headers: str) -> httpx.Response:
        """Send a form of ``page`` as a browser does."""
        form = {"csrf_token": csrf_of(self.get(page)), **(data or {})}
        return self.send(action, form, **headers)

    def send(self, action: str, form: Mapping[str, Any], **headers: str) -> httpx.Response:
        said = {"origin": self.address, "sec-fetch-site": "same-origin", **headers}
        return self.client.post(action, data=form, headers={name: text for name, text in said.items() if text})

    def sign_in(self, token: str = OPERATOR, name: str = "ann", wanted: str = "/") -> httpx.Response:
        return self.submit("/signin", "/signin", {"token": token, "name": name, "next": wanted})


def csrf_of(answer: httpx.Response) -> str:
    assert answer.status_code in (200, 403, 404), answer.text
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', answer.text)
    assert found is not None
    return found[1]


def text_of(answer: httpx.Response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))
