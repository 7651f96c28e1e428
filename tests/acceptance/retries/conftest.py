"""Sites: a store, and a worker whose jobs go the short path, Celery's own way, or through prefork's children."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.worker.plant import Plant, planted

#: How a worker is started, so that its jobs go that way.
_WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "short": ("default", {}),
    "celery": ("default", {"UMBEL_SHORT_PATH": "0", "RETRIES_WATCHED": "1"}),
    "prefork": ("prefork", {"RETRIES_WATCHED": "1"}),
}
_SITES = ("sqlite-short", "sqlite-celery", "sqlite-prefork", "redis-short", "redis-prefork")


@dataclass(frozen=True, slots=True)
class Site:
    """A running site, and which kind of its tasks a test uses."""

    plant: Plant
    way: str
    flavour: str

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        """Queue a job and return Celery's handle."""
        return self.plant.app.send_task(f"{self.flavour}.{name}", args, **options)

    def signature(self, name: str, *args: Any) -> Any:
        return self.plant.app.signature(name, args)

    def tries(self, key: str) -> list[int]:
        """Which number of retries each run of a job saw."""
        return [int(line.words[2]) for line in self.plant.lines(key, "try")]

    def told(self, key: str) -> list[str]:
        """What is told of ``key`` beside its tries."""
        return [line.words[1] for line in self.plant.lines(key) if line.words[1] != "try"]


@pytest.fixture(scope="module", params=_SITES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plant, str]]:
    store, _, way = request.param.partition("-")
    url = None
    if store == "redis":
        server = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
        url = server.url
    pool, extra = _WAYS[way]
    with planted(tmp_path_factory.mktemp(request.param), url) as plant:
        plant.start("-P", pool, app="tests.acceptance.retries.jobs:app", concurrency=4, **extra)
        yield plant, way


@pytest.fixture(params=["sync", "async"])
def site(running: tuple[Plant, str], request: pytest.FixtureRequest) -> Site:
    plant, way = running
    plant.app.set_current()
    return Site(plant, way, request.param)


@pytest.fixture
def key() -> str:
    """A key of one's own on the trail."""
    return uuid.uuid4().hex
