"""Workers on each engine, with the jobs of this package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker.plant import Plant, planted

APP = "tests.integration.batches.jobs:app"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stores(*names): the engines on which this test runs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store_name" in metafunc.fixturenames:
        found = metafunc.definition.get_closest_marker("stores")
        metafunc.parametrize("store_name", found.args if found else ("sqlite", "redis"))


@pytest.fixture
def plant(tmp_path: Path, store_name: str, request: pytest.FixtureRequest) -> Iterator[Plant]:
    """A store without workers; whatever is started on it is killed after the test."""
    url = request.getfixturevalue("redis_url") if store_name == "redis" else None
    with planted(tmp_path, url) as made:
        yield made


class Client:
    """What a test dispatches: signatures of the worker's tasks, by their names."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.app = plant.app

    def sig(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.signature(f"tests.integration.batches.jobs.{name}", args, **options)

    def callbacks(self, *kinds: str) -> dict[str, Any]:
        return {kind: self.sig("called", kind.rstrip("_")) for kind in kinds or ("then", "catch", "finally_")}

    def start(self, **how: Any) -> Any:
        return self.plant.start(app=APP, **how)

    def engine_purged(self) -> None:
        """Drop whatever waits."""
        self.app.engine.purge("celery")

    def called(self) -> list[str]:
        """Which callbacks have run, in the order of their kinds."""
        return sorted(line.words[1] for line in self.plant.lines("called"))


@pytest.fixture
def client(plant: Plant) -> Client:
    return Client(plant)
