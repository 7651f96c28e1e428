"""Both state stores keep their contract, on real servers."""

from __future__ import annotations

import pytest

from tests.postgres import PostgresServer
from umbel.engine.registry import open_state
from umbel.errors import ConfigurationError, StoreUnreachable
from umbel.testing.contract import StateContract


class TestRedisState(StateContract):
    """C14–C18, C20, C22, C35, C40 with the state on Redis."""

    @pytest.fixture(autouse=True)
    def _store(self, redis_url: str) -> None:
        self.url = redis_url


class TestPostgresState(StateContract):
    """The same on PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _store(self, postgres_state_url: str) -> None:
        self.url = postgres_state_url

    def test_c14_it_goes_on_when_the_server_comes_back(self, postgres: PostgresServer) -> None:
        self.note("a")
        postgres.stop()
        try:
            with pytest.raises(StoreUnreachable):
                self.state.locate("a")
        finally:
            postgres.start()
        assert self.state.locate("a") is not None


def test_a_url_that_names_no_state_store_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="UMBEL_STATE_URL"):
        open_state("")
    with pytest.raises(ConfigurationError, match="UMBEL_STATE_URL"):
        open_state("sqlite:///jobs.db")
