"""What a person may do to a worker: a real one, over the broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.operations.stand import ANN, Stand
from tests.integration.worker.plant import planted, until
from umbel.errors import NoAnswer, OperationError, UnknownName
from umbel.monitor.operations import workers as worker_operations


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_worker_grows_shrinks_and_is_drained(
    store: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UMBEL_HISTORY_URL", f"sqlite:///{tmp_path / 'history.db'}")
    monkeypatch.setattr(worker_operations, "_ANSWER_SECONDS", 60.0)
    url = str(request.getfixturevalue("redis_url")) if store == "redis" else None
    with planted(tmp_path, url) as plant:
        worker = plant.start(concurrency=1)
        workers = plant.app.operations.workers
        (name,) = workers.matching("*")
        held = [plant.send("hold", gate) for gate in ("one", "two")]
        until(lambda: plant.app.status(held[0]).state == "running", f"the first to run; {plant.logs()}")
        workers.grow(name, by=ANN)
        until(lambda: plant.app.status(held[1]).state == "running", f"both to run; {plant.logs()}")
        workers.shrink(name, by=ANN)
        with pytest.raises(OperationError):
            workers.shrink(name, 0, by=ANN)
        workers.drain(name, by=ANN)
        until(lambda: not any(queue.consumers for queue in plant.engine.queues()), "nobody to take more")
        plant.open("one", "two")
        assert worker.wait() == 0
        assert [plant.app.status(one).state for one in held] == ["succeeded"] * 2, plant.logs()
        with pytest.raises(UnknownName):
            workers.drain(name, by=ANN)
        plant.app.close_databases()


def test_one_that_does_not_answer_is_named(embedded: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand's own process holds a lease, and listens to nothing."""
    monkeypatch.setattr(worker_operations, "_ANSWER_SECONDS", 0.2)
    with pytest.raises(NoAnswer, match=r"w1@here has not answered within 0\.2 s"):
        embedded.app.operations.workers.grow("w1@here", by=ANN)
