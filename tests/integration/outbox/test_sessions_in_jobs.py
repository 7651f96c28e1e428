"""A session in a job: rolled back unless committed, its connection back in the pool whichever way the job ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.outbox import session_jobs
from tests.integration.outbox.shop import Shop
from tests.integration.worker.plant import Plant, Worker, planted, until
from umbel import JobState
from umbel.jobs.outbox_table import create_outbox

USE = {"def": "use", "async": "ause"}
POOLED = {"def": "pooled", "async": "apooled"}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    return new_database(request.param)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with planted(tmp_path) as made:
        shutil.copyfile(session_jobs.__file__, made.code)
        yield made


@pytest.fixture
def shop(database: str, plant: Plant) -> Iterator[Shop]:
    made = Shop(database, plant.url)
    yield made
    made.close()


def start(plant: Plant, shop: Shop, *arguments: str) -> Worker:
    return plant.start(*arguments, concurrency=3, UMBEL_DATABASE_URL=shop.database)


def free(plant: Plant, flavour: str) -> list[int]:
    """How many connections are in use, and the size of the pool."""
    status = plant.ended(plant.send(POOLED[flavour]))
    assert status.state is JobState.SUCCEEDED, status.error
    return list(status.result)


@pytest.mark.parametrize("flavour", ["def", "async"])
def test_the_connection_goes_back_whichever_way_the_job_ends(plant: Plant, shop: Shop, flavour: str) -> None:
    start(plant, shop)
    prefix = "" if flavour == "def" else "a"
    ends = {how: plant.ended(plant.send(USE[flavour], how)).state for how in ("succeed", "fail", "retry")}
    assert ends == {"succeed": JobState.SUCCEEDED, "fail": JobState.FAILED, "retry": JobState.SUCCEEDED}
    cancelled = plant.send(USE[flavour], "hold")
    plant.until_told("holds", "hold")
    plant.app.cancel(cancelled)
    limited = plant.send(USE[flavour], "hold", soft_time_limit=1, time_limit=60)
    assert plant.ended(limited).state is JobState.FAILED
    # A cancelled job's end is recorded at once; its body ends a moment later.
    until(lambda: free(plant, flavour)[0] == 0, "every connection is back in the pool")
    assert free(plant, flavour) == [0, 3]
    assert shop.labels() == [f"{prefix}succeed-0", f"{prefix}retry-1"]


def test_a_killed_process_leaves_no_transaction_open(plant: Plant, new_database: Callable[[str], str]) -> None:
    shop = Shop(new_database("postgresql"), plant.url)
    worker = start(plant, shop)
    plant.send("use", "hold")
    plant.send("ause", "hold")
    plant.until_told("holds", "hold", times=2)
    assert open_transactions(shop) == 2
    worker.destroy()
    until(lambda: open_transactions(shop) == 0, "the server has ended the sessions of the dead process")
    assert shop.labels() == []
    shop.close()


def test_a_worker_that_ends_closes_its_connections(plant: Plant, new_database: Callable[[str], str]) -> None:
    shop = Shop(new_database("postgresql"), plant.url)
    worker = start(plant, shop)
    for name in ("use", "ause"):
        assert plant.ended(plant.send(name, "succeed")).state is JobState.SUCCEEDED
    assert worker.stop() == 0
    assert "Traceback" not in worker.text()
    assert "never awaited" not in worker.text()
    shop.close()


@pytest.mark.parametrize("flavour", ["def", "async"])
def test_with_prefork(plant: Plant, shop: Shop, flavour: str) -> None:
    start(plant, shop, "-P", "prefork")
    ends = [plant.ended(plant.send(USE[flavour], how)).state for how in ("succeed", "fail", "retry")]
    assert ends == [JobState.SUCCEEDED, JobState.FAILED, JobState.SUCCEEDED]
    assert free(plant, flavour)[0] == 0
    assert len(shop.labels()) == 2


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c12_a_job_dispatches_in_its_transaction(plant: Plant, shop: Shop, pool: str) -> None:
    create_outbox(shop.engine)
    start(plant, shop, "-P", pool)
    for name in ("buy", "abuy"):
        assert plant.ended(plant.send(name, f"{name}-lost", True)).state is JobState.FAILED
        assert plant.ended(plant.send(name, name, False)).state is JobState.SUCCEEDED
        plant.until_told("said", name)
    until(lambda: shop.rows() == 0 and plant.empty(), "everything is published and done")
    assert [line.words[1] for line in plant.lines("said")] == ["buy", "abuy"]
    assert sorted(shop.labels()) == ["abuy", "buy"]


def open_transactions(shop: Shop) -> int:
    url = shop.database.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        (count,) = connection.execute(query).fetchone() or (0,)
    return int(count)
