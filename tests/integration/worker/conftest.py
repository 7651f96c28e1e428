"""Workers on each engine. ``@pytest.mark.stores("sqlite")`` is for what only one of them has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker.plant import Plant, planted


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
