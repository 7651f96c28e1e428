"""C14: 'umbel migrate' between the embedded file and Redis, with real processes that are killed."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Cli, until
from umbel.engine.redis import RedisEngine
from umbel.engine.registry import open_engine
from umbel.engine.store import Engine, Outgoing
from umbel.state.effects import Claimant
from umbel.testing.contract._peer import Peer
from umbel.testing.contract._suite import payload

MANY = 20_000
LATER = 4_000_000_000.0


@pytest.fixture
def file_url(shop: Cli) -> str:
    return f"sqlite:///{shop.folder}/.umbel/umbel.db"


@pytest.fixture
def file(file_url: str) -> Iterator[Engine]:
    engine = open_engine(file_url)
    yield engine
    engine.close()


@pytest.fixture
def redis(redis_url: str) -> Iterator[RedisEngine]:
    engine = RedisEngine(redis_url)
    yield engine
    engine.close()


def waiting(engine: Engine) -> int:
    return sum(queue.ready + queue.delayed + queue.suspect + queue.leased for queue in engine.queues())


def fill(engine: Engine, count: int) -> list[str]:
    names = [f"job-{number}" for number in range(count)]
    for start in range(0, count, 1000):
        batch = names[start : start + 1000]
        engine.enqueue(
            [Outgoing("celery", payload(one), one, due=LATER if one.endswith("7") else None) for one in batch]
        )
    return names


@pytest.mark.slow
@pytest.mark.parametrize("back", [False, True], ids=["file-to-redis", "redis-to-file"])
def test_c14_killed_over_and_over_twenty_thousand_jobs_arrive_once(
    shop: Cli, file_url: str, redis_url: str, back: bool
) -> None:
    """SIGKILL in the middle of it, again and again, with a worker at the target that takes what comes."""
    source_url, target_url = (redis_url, file_url) if back else (file_url, redis_url)
    source, target = open_engine(source_url), open_engine(target_url)
    names = fill(source, MANY)
    seen: Counter[str | None] = Counter()
    kills = 0
    with Peer(target_url, "celery") as worker:
        for part in range(1, 5):
            running = shop.start("migrate", "--from", source_url, "--to", target_url)
            until(lambda left=MANY - part * 4000: waiting(source) < left, "some have left")  # type: ignore[misc]
            running.process.send_signal(signal.SIGKILL)
            kills += running.process.wait() == -signal.SIGKILL
            seen.update(worker.call("drain", "celery", 500))
        shop.ok("migrate", "--from", source_url, "--to", target_url)
        seen.update(worker.call("drain", "celery", 500))
    assert kills, "it was never killed in the middle"
    assert waiting(source) == 0
    later = [name for name in names if name.endswith("7")]
    assert seen == Counter(set(names) - set(later))
    (queue,) = (one for one in target.queues() if one.name == "celery")
    assert (queue.ready, queue.delayed, queue.leased) == (0, len(later), 0)
    where = target.locate(later[0])
    assert where is not None
    assert where.due == LATER
    source.close()
    target.close()


def test_a_project_grows_from_its_file_to_redis(shop: Cli, file: Engine, redis: RedisEngine) -> None:
    """The way of the guide: jobs in the file, migrate, a worker on Redis runs them, delayed ones included."""
    shop.ok("enqueue", "add", "2", "1", "--id", "now")
    shop.ok("enqueue", "add", "1", "1", "--id", "soon", "--countdown", "1s")
    shop.ok("enqueue", "add", "1", "1", "--id", "never")
    shop.ok("cancel", "never")
    assert "Would move" in shop.ok("migrate", "--to", redis.url, "--dry-run")
    # Whoever began this one is dead: its lease ends by itself, and nobody knows whether it is there.
    file.effects.claim("paid", Claimant("killed", "run", "token"), 2.0)
    told = shop.ok("migrate", "--to", redis.url)
    assert told.startswith("Moved 3 jobs (")
    assert "1 uncertain effects" in told
    assert [one.name for one in redis.effects.uncertain()] == ["paid"]
    assert told.endswith(f"to {redis.url}; the states of all jobs are there too.")
    assert shop.ok("migrate", "--to", redis.url).startswith("Moved 0 jobs")
    shop.start("worker", "--processes", "1", UMBEL_BROKER_URL=redis.url)
    wanted = {"now": "SUCCESS", "soon": "SUCCESS", "never": "REVOKED"}
    until(lambda: {one.task_id: one.state for one in redis.read(list(wanted))} == wanted and not waiting(redis), "ends")


def test_it_refuses_while_a_worker_takes_from_the_source(
    shop: Cli, file: Engine, file_url: str, redis_url: str
) -> None:
    fill(file, 5)
    with Peer(file_url, "celery") as worker:
        (held,) = worker.call("fetch", {"celery": 0}, 1)
        done = shop.run("migrate", "--to", redis_url)
        assert done.returncode == 1
        assert f"in use by peer-{worker.pid}@test (pid {worker.pid}, holding 1): stop them first" in done.stderr
        assert waiting(file) == 5
        done = shop.run("migrate", "--to", redis_url, "--force")
        assert done.returncode == 1
        assert done.stdout.startswith("Moved 4 jobs (0 delayed")
        assert f"Still in {file_url}, with peer-{worker.pid}@test (pid {worker.pid}, holding 1): 1 job." in done.stderr
        worker.call("started", held.seq)
    # Killed: what it ran is a suspect, and goes as one.
    assert shop.ok("migrate", "--to", redis_url).startswith("Moved 1 job (0 delayed, 1 suspects)")


def test_a_move_that_was_begun_is_completed_to_the_same_store_or_recalled(
    shop: Cli, file: Engine, redis: RedisEngine, redis_url: str, tmp_path: Path
) -> None:
    fill(file, 5)
    assert file.moving.pack(3, redis.moving.identity(), "redis://first") is not None
    done = shop.run("migrate", "--to", f"sqlite:///{tmp_path}/other.db")
    assert done.returncode == 1
    assert "A move to redis://first was interrupted, with 3 jobs on their way" in done.stderr
    assert "On their way to redis://first, since a move was interrupted: 3 jobs." in shop.ok(
        "migrate", "--to", redis_url, "--dry-run"
    )
    assert shop.ok("migrate", "--recall").startswith("Put 3 jobs back")
    assert waiting(file) == 5
    assert shop.ok("migrate", "--to", f"sqlite:///{tmp_path}/other.db").startswith("Moved 5 jobs")


def test_what_cannot_be_moved_is_said(shop: Cli, redis_url: str) -> None:
    shop.ok("enqueue", "add", "1", "2")
    for arguments, text in (
        ((), "Name the other store"),
        (("--to", "amqp://localhost"), "--to amqp: is no store that jobs can be moved from or to"),
        (("--from", "sqlite:////nowhere/at/all.db", "--to", redis_url), "There is no file /nowhere/at/all.db"),
    ):
        done = shop.run("migrate", *arguments)
        assert (done.returncode, text in done.stderr) == (2, True), done.stderr
    done = shop.run("migrate", "--from", redis_url, "--to", redis_url)
    assert (done.returncode, "one and the same store" in done.stderr) == (1, True)
    done = shop.run("migrate", "--to", "redis://:secret@127.0.0.1:1/0")
    assert done.returncode == 69
    assert "secret" not in done.stdout + done.stderr
