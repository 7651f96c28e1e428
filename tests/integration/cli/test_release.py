"""'umbel release': when it refuses, and what it says. What it does stands in on_redis/test_release.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.cli.conftest import Cli
from umbel.engine.redis import RedisEngine
from umbel.engine.store import Outgoing
from umbel.testing.contract._peer import Peer
from umbel.testing.contract._suite import payload

QUEUE = "celery"
LATER = 4_000_000_000.0


@pytest.fixture
def engine(redis_url: str) -> Iterator[RedisEngine]:
    engine = RedisEngine(redis_url)
    yield engine
    engine.close()


def counts(engine: RedisEngine) -> tuple[int, int]:
    (queue,) = (one for one in engine.queues() if one.name == QUEUE)
    return queue.ready, queue.delayed


def test_it_refuses_while_a_worker_lives_and_names_it(shop: Cli, engine: RedisEngine, redis_url: str) -> None:
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a", due=LATER)])
    with Peer(redis_url, QUEUE) as peer:
        done = shop.run("release", UMBEL_BROKER_URL=redis_url)
        assert done.returncode == 1
        assert f"stop peer-{peer.pid}@test (pid {peer.pid}, holding 0) first" in done.stderr
        assert counts(engine) == (0, 1)
    told = shop.ok("release", UMBEL_BROKER_URL=redis_url)
    assert told.startswith("Handed back: 1 delayed jobs, 0 suspects")
    assert "visibility_timeout" in told
    assert counts(engine) == (1, 0)


def test_it_refuses_while_jobs_are_on_their_way_elsewhere(shop: Cli, engine: RedisEngine, redis_url: str) -> None:
    engine.enqueue([Outgoing(QUEUE, payload(one), one) for one in ("a", "b")])
    engine.moving.pack(1, "there", "redis://there")
    done = shop.run("release", UMBEL_BROKER_URL=redis_url)
    assert done.returncode == 1
    assert "1 jobs are on their way to redis://there" in done.stderr


def test_with_the_embedded_file_it_says_what_to_do_instead(shop: Cli) -> None:
    done = shop.run("release")
    assert done.returncode == 1
    assert "umbel migrate --to redis://" in done.stderr
