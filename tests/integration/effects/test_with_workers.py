"""C32, C28: effects that happen once, with real workers that are killed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.effects import effect_jobs
from tests.integration.worker.plant import Plant, planted, until
from umbel import JobState

FLAVOURS = ["", "a"]


@pytest.fixture
def new_plant(tmp_path: Path) -> Iterator[Callable[..., Plant]]:
    made: list[Plant] = []

    def make(url: str | None = None) -> Plant:
        context = planted(tmp_path, url)
        plant = context.__enter__()
        made.append(plant)
        shutil.copyfile(effect_jobs.__file__, plant.code)
        return plant

    yield make
    for plant in made:
        plant.close()


@pytest.fixture(params=["sqlite", "redis"])
def plant(request: pytest.FixtureRequest, new_plant: Callable[..., Plant]) -> Plant:
    return new_plant(request.getfixturevalue("redis_url") if request.param == "redis" else None)


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c32_it_happens_once_and_all_get_its_result(plant: Plant, pool: str) -> None:
    plant.start(concurrency=4, UMBEL_POOL=pool)
    for flavour in FLAVOURS:
        order = f"{flavour}one"
        first = plant.send(f"{flavour}pay", order, "hold")
        plant.until_told("charge", order)
        others = [plant.send(f"{flavour}pay", order) for _ in range(3)]
        plant.open(order)
        for one in (first, *others):
            status = plant.ended(one)
            assert (status.state, status.result) == (JobState.SUCCEEDED, f"charge-{order}"), status.error
            (stored,) = plant.engine.read([one])
            assert stored.attempt == 0, "waiting uses no attempt (C28)"
        assert len(plant.lines("charge", order)) == 1
        failed = plant.send(f"{flavour}pay", f"{flavour}two", "fail")
        assert plant.ended(failed).state is JobState.FAILED
        assert plant.ended(plant.send(f"{flavour}pay", f"{flavour}two")).state is JobState.SUCCEEDED


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c32_a_killed_one_is_held_asked_for_or_repeated(plant: Plant, pool: str) -> None:
    plant.start(concurrency=8, UMBEL_POOL=pool)
    sent: dict[str, str] = {}
    for flavour in FLAVOURS:
        for name in ("pay", "pay_asking", "pay_again"):
            sent[f"{flavour}{name}"] = plant.send(f"{flavour}{name}", f"{flavour}{name}", "hold")
    for name in sent:
        plant.until_told("charge", name)
    # A prefork pool has processes of its own below.
    workers = plant.workers[0].children("worker")
    for victim in [*workers, *(below for worker in workers for below in worker.children())]:
        os.kill(victim.pid, signal.SIGKILL)
    plant.open(*sent)
    for flavour in FLAVOURS:
        held = plant.ended(sent[f"{flavour}pay"])
        assert held.state is JobState.FAILED
        assert "EffectUncertain" in str(held.error)
        assert len(plant.lines("charge", f"{flavour}pay")) == 1
        asked = plant.ended(sent[f"{flavour}pay_asking"])
        assert (asked.state, asked.result) == (JobState.SUCCEEDED, f"charge-{flavour}pay_asking"), asked.error
        assert len(plant.lines("charge", f"{flavour}pay_asking")) == 1
        again = plant.ended(sent[f"{flavour}pay_again"])
        assert again.state is JobState.SUCCEEDED, again.error
        keys = [line.words[2] for line in plant.lines("charge", f"{flavour}pay_again")]
        assert len(keys) == 2
        assert keys[0] == keys[1], "the other side can tell that it is the same"
    unsure = {sent["pay"], sent["apay"]}
    # A prefork child writes its job's end before its parent writes the letter.
    until(lambda: {letter.task_id for letter in plant.engine.dead()} == unsure, "their letters")
    assert {one.owner for one in plant.app.effects.uncertain()} == unsure


def test_c32_a_person_decides_and_the_job_runs_again(plant: Plant) -> None:
    plant.start(concurrency=4)
    lost = {name: plant.send(name, name, "lost") for name in ("pay", "apay")}
    for one in lost.values():
        status = plant.ended(one)
        assert (status.state, "EffectUncertain" in str(status.error)) == (JobState.FAILED, True), status.error
    for name in lost:
        assert len(plant.lines("charge", name)) == 1, "no retry repeats it"
    names = {one.owner: one.name for one in plant.app.effects.uncertain()}
    plant.app.effects.is_done(names[lost["pay"]], "found")
    plant.app.effects.is_not_done(names[lost["apay"]])
    assert plant.ended(plant.send("pay", "pay")).result == "found"
    assert plant.ended(plant.send("apay", "apay")).result == "charge-apay"


def test_c32_a_job_is_put_off_by_a_block_too(plant: Plant) -> None:
    plant.start(concurrency=4)
    first = plant.send("in_a_block", "x")
    plant.until_told("charge", "x")
    second = plant.send("in_a_block", "x")
    plant.open("x")
    for one in (first, second):
        assert plant.ended(one).result == "charge-x"
    assert len(plant.lines("charge", "x")) == 1


def test_c32_a_cancelled_one_may_be_there(plant: Plant) -> None:
    plant.start(concurrency=4)
    for name in ("pay", "apay"):
        sent = plant.send(name, name, "hold")
        plant.until_told("charge", name)
        plant.app.cancel(sent)
        assert plant.ended(sent).state is JobState.CANCELLED
        status = plant.ended(plant.send(name, name))
        assert (status.state, "EffectUncertain" in str(status.error)) == (JobState.FAILED, True), status.error
        assert len(plant.lines("charge", name)) == 1


def test_c32_beside_rabbitmq_the_state_store_keeps_it(
    new_plant: Callable[..., Plant], rabbit_url: str, postgres_state_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UMBEL_STATE_URL", postgres_state_url)
    plant = new_plant(rabbit_url)
    plant.start(concurrency=4)
    results = [plant.ended(plant.send(name, name)).result for name in ("pay", "apay", "pay", "apay")]
    assert results == ["charge-pay", "charge-apay"] * 2
    assert len(plant.lines("charge")) == 2
