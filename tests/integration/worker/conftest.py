"""Workers on each engine. ``@pytest.mark.stores("sqlite")`` is for what only one of them has.

``plant`` is a store without workers; ``crew`` one whose worker serves other tests of its module too, in each pool, or
in those of ``@pytest.mark.pools("default")``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker.crew import Crew
from tests.integration.worker.plant import Plant, planted


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stores(*names): the engines on which this test runs")
    config.addinivalue_line("markers", "pools(*names): the pools in which this test runs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    stores = _marked(metafunc, "stores", "sqlite", "redis")
    if "store_name" in metafunc.fixturenames:
        metafunc.parametrize("store_name", stores)
    if "shared" in metafunc.fixturenames:
        pools = _marked(metafunc, "pools", "default", "prefork")
        kinds = [f"{store}-{pool}" for pool in pools for store in stores]
        metafunc.parametrize("shared", kinds, indirect=True, scope="module")


def _marked(metafunc: pytest.Metafunc, mark: str, *all_of_them: str) -> tuple[str, ...]:
    found = metafunc.definition.get_closest_marker(mark)
    return found.args if found else all_of_them


@pytest.fixture
def plant(tmp_path: Path, store_name: str, request: pytest.FixtureRequest) -> Iterator[Plant]:
    """A store without workers; whatever is started on it is killed after the test."""
    url = request.getfixturevalue("redis_url") if store_name == "redis" else None
    with planted(tmp_path, url) as made:
        yield made


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    with Crew(tmp_path_factory.mktemp(request.param), *request.param.split("-")) as made:
        yield made


@pytest.fixture
def crew(shared: Crew) -> Iterator[Plant]:
    """A plant with a worker, as each test of its module finds it and leaves it: with nothing to do, told or kept."""
    yield shared.plant()
    shared.tidy()
