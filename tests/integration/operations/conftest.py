"""A stand on each engine whose broker keeps the messages itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.operations.stand import Stand


@pytest.fixture(params=["sqlite", "redis"])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    url = str(request.getfixturevalue("redis_url")) if request.param == "redis" else None
    made = Stand(tmp_path, url)
    yield made
    made.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Stand]:
    """One on the embedded engine alone, for what no engine has a part in."""
    made = Stand(tmp_path)
    yield made
    made.close()
