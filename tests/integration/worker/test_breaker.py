"""C29, C28: while what jobs need is down they wait, and one probes, with real workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.worker.plant import Plant, until
from umbel import Breaker, JobState, Umbel
from umbel.errors import BreakerOpen, ConfigurationError


@pytest.mark.parametrize("name", ["charge", "charge_async"])
@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c29_jobs_wait_while_it_is_open_and_go_on_after_a_probe(plant: Plant, name: str, pool: str) -> None:
    plant.start(concurrency=2, UMBEL_POOL=pool)
    failed = []
    for word in ("1", "2"):
        failed.append(plant.send(name, "gate", word))
        assert plant.ended(failed[-1]).state is JobState.FAILED
    waiting = [plant.send(name, "gate", str(number)) for number in range(3, 8)]
    other = plant.send(name, "elsewhere", "x")
    assert plant.ended(other).state is JobState.FAILED, "another key is not concerned"
    until(lambda: sum(queue.delayed for queue in plant.engine.queues()) > 3, "they wait in the store")
    # One probes, and fails; the others have not run at all.
    until(lambda: any(plant.state(one) is JobState.FAILED for one in waiting), "a probe that failed")
    plant.open("gate")
    left = [one for one in waiting if plant.ended(one).state is not JobState.FAILED]
    assert len(left) >= 3
    for one in left:
        (stored,) = plant.engine.read([one])
        assert (stored.state, stored.attempt) == ("SUCCESS", 0), "waiting uses no attempt (C28)"
    tries = [line.words[2] for line in plant.lines("charge", "gate")]
    assert sorted(tries) == sorted(str(number) for number in range(1, 8)), "each ran once"


def test_c29_the_callers_own_fault_does_not_count(plant: Plant) -> None:
    plant.start(concurrency=2)
    for _ in range(3):
        assert plant.ended(plant.send("charge_async", "gate", "wrong")).state is JobState.FAILED
    plant.open("gate")
    assert plant.ended(plant.send("charge_async", "gate", "right")).result == "right"


def test_c29_a_block_behind_a_breaker(tmp_path: Path) -> None:
    app = Umbel("blocks", broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False)

    def ask(error: Exception | None = None) -> None:
        with app.breaker("gateway", failures=2, open_for="1h"):
            if error is not None:
                raise error

    ask()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            ask(ConnectionError())
    with pytest.raises(BreakerOpen, match="'gateway' is open") as caught:
        ask()
    assert 3500 < caught.value.seconds <= 3600
    app.engine.close()
    app.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"failures": 0}, "from 1 to"),
        ({"within": "soon"}, "within"),
        ({"open_for": 0}, "no time"),
        ({"on": 3}, "neither"),
    ],
)
def test_c29_what_makes_no_sense_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Breaker(**options)
