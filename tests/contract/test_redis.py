"""The Redis engine keeps the engines' contract, on a real server."""

from __future__ import annotations

import pytest

from umbel.testing.contract import EngineContract


class TestRedis(EngineContract):
    """C8, C9, C14–C18, C22, C35 on Redis."""

    @pytest.fixture(autouse=True)
    def _store(self, redis_url: str) -> None:
        self.url = redis_url
