from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker.plant import Plant, planted


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """A store without workers; whatever is started on it is killed after the test."""
    with planted(tmp_path) as made:
        yield made
