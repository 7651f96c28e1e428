"""Every test of the table asks for ``jobs`` (a world and a flavour of its tasks), or for ``world`` alone.

``@pytest.mark.worlds(...)`` names other worlds than the usual ones; ``@pytest.mark.flavours(...)`` other flavours.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

import pytest

from tests.acceptance.semantics.jobs import Jobs
from tests.acceptance.semantics.worlds import PLANS, World, open_world
from tests.warm import Warm

_USUAL: Final = ("celery-redis", "umbel", "umbel-prefork", "umbel-redis", "umbel-rabbit")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "worlds(*names): the worlds in which this test holds")
    config.addinivalue_line("markers", "flavours(*names): the flavours of tasks, sync and async, for which it holds")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "world" not in metafunc.fixturenames:
        return
    names = _marked(metafunc, "worlds", _USUAL)
    if "flavour" not in metafunc.fixturenames:
        metafunc.parametrize("world", names, indirect=True, scope="session")
        return
    flavours = _marked(metafunc, "flavours", ("sync", "async"))
    pairs = [(name, flavour) for name in names for flavour in PLANS[name].flavours if flavour in flavours]
    metafunc.parametrize(
        ("world", "flavour"), pairs, indirect=["world"], scope="session", ids=[f"{n}-{f}" for n, f in pairs]
    )


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Iterator[World]:
    """A running world, started once for all tests of this process that follow each other in it."""
    plan = PLANS[request.param]

    def rabbit() -> str:
        # One node for all tests of this process: it takes seconds to start.
        return str(request.getfixturevalue("rabbit_server").new_url())

    with open_world(plan, tmp_path_factory.mktemp(plan.name), rabbit, warm) as opened:
        yield opened


@pytest.fixture
def jobs(world: World, flavour: str) -> Jobs:
    """The tasks of this world, all sync or all async."""
    world.app.set_current()
    return Jobs(world, flavour)


@pytest.fixture
def key() -> str:
    """A key of one's own on the trail."""
    return uuid.uuid4().hex


def _marked(metafunc: pytest.Metafunc, marker: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    found = metafunc.definition.get_closest_marker(marker)
    return tuple(found.args) if found else usual
