"""The API of a stand's site, served by a real server, with a token for each role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.operations.stand import Stand
from tests.integration.web.stub_app import serving
from umbel.web.site import build_web

__all__ = ["OPERATOR", "VIEWER", "Api", "made_stand"]

OPERATOR = "operator-token-0123456789"
VIEWER = "viewer-token-0123456789"


class Api(httpx.Client):
    """A client with the token of one role."""

    def __init__(self, address: str, token: str | None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        super().__init__(base_url=address, headers=headers, timeout=60)


def made_stand(folder: Path, url: str | None = None) -> Stand:
    return Stand(folder, url, web_token=OPERATOR, web_viewer_token=VIEWER)


@pytest.fixture(scope="module")
def resting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API behind which nothing happens, for all tests of a module that change nothing."""
    made = made_stand(tmp_path_factory.mktemp("resting"))
    try:
        with serving(build_web(made.app)) as served:
            yield f"{served}/api"
    finally:
        made.close()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = made_stand(tmp_path)
    yield made
    made.close()


@pytest.fixture
def site(stand: Stand) -> FastAPI:
    return build_web(stand.app)


@pytest.fixture
def address(site: FastAPI) -> Iterator[str]:
    with serving(site) as served:
        yield f"{served}/api"


@pytest.fixture
def api(address: str) -> Iterator[Api]:
    """As an operator."""
    with Api(address, OPERATOR) as client:
        yield client


@pytest.fixture
def viewer(address: str) -> Iterator[Api]:
    with Api(address, VIEWER) as client:
        yield client


@pytest.fixture
def stranger(address: str) -> Iterator[Api]:
    with Api(address, None) as client:
        yield client
