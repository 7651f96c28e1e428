"""One store a test, its engine, and other processes on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from umbel.engine.registry import open_engine
from umbel.engine.sqlite import SQLiteEngine
from umbel.testing.contract._peer import Peer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the test's store is, or will be."""
    return tmp_path / "jobs.db"


@pytest.fixture
def url(store: Path) -> str:
    return f"sqlite:///{store}"


@pytest.fixture
def engine(url: str) -> Iterator[SQLiteEngine]:
    """This process's engine on the store."""
    engine = open_engine(url)
    yield engine
    engine.close()


@pytest.fixture
def peer(url: str) -> Iterator[Callable[..., Peer]]:
    """Start other processes on the store; they are killed at the end."""
    peers: list[Peer] = []

    def start(*queues: str) -> Peer:
        peers.append(Peer(url, *queues))
        return peers[-1]

    yield start
    for one in peers:
        one.kill()
