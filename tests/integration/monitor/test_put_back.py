"""A job that is lost: known by the history and by nothing else; and put back once, whoever presses how often."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from umbel import Umbel
from umbel.engine.store import Engine, Outgoing, Record, Settled
from umbel.monitor import where as where_module
from umbel.monitor.history import History
from umbel.monitor.recorder import Recorder
from umbel.monitor.whereabouts import Place
from umbel.settings import Settings
from umbel.testing.contract._suite import payload

QUEUE = "celery"


def _add(x: int, y: int) -> int:
    return x + y


class Shop:
    """An application whose jobs are recorded here."""

    def __init__(self, broker: str, folder: Path, *, records: bool = True) -> None:
        self.app = Umbel("shop", broker=broker, settings=Settings(data_dir=folder), set_as_current=False)
        self.app.task(name="shop.add", shared=False)(_add)
        self.recorder = Recorder(self.engine, self.history) if records else None
        self.record()

    @property
    def engine(self) -> Engine:
        return self.app.engine

    @property
    def history(self) -> History:
        return self.app.history

    def record(self) -> None:
        while self.recorder is not None and self.recorder.step():
            pass

    def lose(self, task_id: str = "a") -> str:
        """Let a job be lost."""
        self.app.send_task("shop.add", (1, 2), task_id=task_id)
        self.record()
        self.engine.purge(QUEUE)
        return task_id

    def waiting(self) -> list[str | None]:
        return [one.task_id for one in self.engine.take(QUEUE, 100)]

    def close(self) -> None:
        if self.recorder is not None:
            self.recorder.resign()
        self.app.close_databases()
        self.engine.close()
        self.app.close()


@pytest.fixture(params=["sqlite", "redis"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
    monkeypatch.setattr(where_module, "_LOST_SECONDS", 0.0)
    made = Shop(url, tmp_path)
    yield made
    made.close()


def test_a_lost_job_is_known_while_others_are_told_of(shop: Shop) -> None:
    """Where there are always jobs there is always something that is not in the history yet."""
    lost = shop.lose()
    shop.app.send_task("shop.add", (3, 4), task_id="another")
    assert shop.app.where.find(lost).place is Place.LOST
    assert shop.app.where.put_back(lost).queued


@pytest.mark.parametrize("how", ["ended", "too many"])
def test_a_job_of_which_more_is_told_is_not_lost(shop: Shop, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    lost = shop.lose()
    shop.app.send_task("shop.add", (3, 4), task_id="another" if how == "too many" else lost)
    shop.engine.purge(QUEUE)
    if how == "too many":
        monkeypatch.setattr(where_module, "_UNREAD_MOST", 1)
    assert shop.app.where.find(lost).code == "lost_sight"
    shop.record()
    monkeypatch.undo()
    monkeypatch.setattr(where_module, "_LOST_SECONDS", 0.0)
    assert shop.app.where.find(lost).place is Place.LOST


def test_a_lost_job_is_put_back_once(shop: Shop) -> None:
    lost = shop.app.where.find(shop.lose())
    assert (lost.place, lost.task, lost.queue, lost.can_put_back) == (Place.LOST, "shop.add", QUEUE, True)
    done = shop.app.where.put_back("a")
    assert done.queued
    assert done.now.place is Place.QUEUED
    again = shop.app.where.put_back("a")
    assert not again.queued
    assert again.now.place is Place.QUEUED
    shop.record()
    assert shop.history.jobs.job("a").job.state.value == "queued"
    assert shop.waiting() == ["a"]


def test_of_two_who_have_found_it_lost_one_puts_it_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.lose()
    facts = shop.app.where._facts("a", live=True)
    monkeypatch.setattr(shop.app.where, "_facts", lambda *_, **__: facts)
    assert [shop.app.where.put_back("a").queued for _ in range(2)] == [True, False]
    assert shop.waiting() == ["a"]


def test_it_is_the_same_message(shop: Shop) -> None:
    shop.app.send_task("shop.add", (1, 2), task_id="a", priority=6, tags=["eu"])
    shop.record()
    (before,) = shop.engine.take(QUEUE, 10)
    shop.engine.purge(QUEUE)
    _forget_message(shop, "a")
    assert shop.app.where.put_back("a").queued
    (after,) = shop.engine.take(QUEUE, 10)
    assert (after.payload, after.rank) == (before.payload, before.rank)


def _forget_message(shop: Shop, task_id: str) -> None:
    """Let a store that remembers what it has given away forget it, as one does that was restored from a copy."""
    store = getattr(shop.engine, "store", None)
    if store is not None:
        with store.asking() as client:
            client.delete(store.key(f"job:{task_id}"))


@pytest.mark.parametrize("shop", ["redis"], indirect=True)
def test_a_record_that_leads_nowhere_does_not_keep_it_from_being_put_back(shop: Shop) -> None:
    """As when somebody has deleted the list of a queue."""
    shop.app.send_task("shop.add", (1, 2), task_id="a")
    shop.record()
    store = shop.engine.store  # type: ignore[attr-defined]
    with store.asking() as client:
        client.delete(store.kombu(QUEUE))
    assert shop.app.where.find("a").place is Place.LOST
    again = Outgoing(QUEUE, payload("a"), "a", once=True, revived=True)
    assert shop.app.where.put_back("a").queued
    assert not shop.engine.enqueue([again])
    # Nor while somebody has it, and the list is gone.
    shop.engine.open_lease("here@test", [QUEUE], 1)
    assert [one.task_id for one in shop.engine.fetch({QUEUE: 0}, 10)] == ["a"]
    assert not shop.engine.enqueue([again])


def test_a_passing_state_does_not_keep_it_from_being_put_back(shop: Shop) -> None:
    """As one that its worker had begun and a restored store has not."""
    shop.lose()
    shop.engine.settle([Settled(records=[Record("a", "STARTED", False, '{"status": "STARTED", "result": null}')])])
    assert shop.app.where.put_back("a").queued
    assert not shop.engine.enqueue([Outgoing(QUEUE, payload("a"), "a", once=True, revived=True)])
    assert shop.waiting() == ["a"]


def test_an_end_that_nobody_has_recorded_keeps_it_from_being_put_back(shop: Shop) -> None:
    shop.lose()
    document = '{"status": "SUCCESS", "result": 3}'
    shop.engine.settle([Settled(records=[Record("a", "SUCCESS", True, document)])])
    assert shop.app.where.find("a").place is Place.ENDED
    assert not shop.app.where.put_back("a").queued
    assert not shop.engine.enqueue([Outgoing(QUEUE, payload("a"), "a", once=True, revived=True)])
    assert shop.waiting() == []


def test_what_was_heard_of_lately_is_not_lost(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where_module, "_LOST_SECONDS", 60.0)
    shop.lose()
    assert shop.app.where.find("a").code == "lost_sight"
    assert not shop.app.where.put_back("a").queued


def test_a_worker_that_does_not_answer_may_have_it(shop: Shop) -> None:
    shop.lose()
    shop.engine.open_lease("silent@host", [QUEUE], 1)
    found = shop.app.where.find("a")
    assert found.code == "lost_sight"
    assert any("did not answer" in note for note in found.notes)
    shop.engine.close_lease()
    assert shop.app.where.find("a").place is Place.LOST


def test_without_a_history_nothing_is_lost(tmp_path: Path) -> None:
    """And looking makes none."""
    settings = Settings(data_dir=tmp_path)
    app = Umbel("shop", broker=f"sqlite:///{tmp_path / 'jobs.db'}", settings=settings, set_as_current=False)
    assert app.where.find("a").code == "unknown"
    assert not (tmp_path / "history.db").exists()
    app.engine.close()
    app.close()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_whoever_dies_at_whatever_line_it_is_queued_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A process is killed at each line of putting back, the next one tries again, and then a third one."""
    broker = f"sqlite:///{tmp_path / 'jobs.db'}" if kind == "sqlite" else request.getfixturevalue("redis_url")
    command = [sys.executable, "-m", "tests.integration.monitor.put_back_killing", broker, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 10
