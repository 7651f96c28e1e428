"""C29–C31: in the file, locks, keys and breakers end by a clock that only counts on, whatever is done to the host's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from umbel.engine import sqlite_clock
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.sqlite_clock import StoreClock
from umbel.engine.store import Outgoing
from umbel.engine.uniques import UniqueKey
from umbel.state.breakers import Threshold
from umbel.testing.contract._suite import payload

HOUR = 3600.0
TRULY = time.time


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the kernel names its start."""
    path = tmp_path / "boot_id"
    path.write_text("the-first-start\n")
    monkeypatch.setattr(sqlite_clock, "_BOOT", path)
    return path


@pytest.fixture
def engine(boot: Path, tmp_path: Path) -> Iterator[SQLiteEngine]:
    made = SQLiteEngine(tmp_path / "store" / "jobs.db")
    made.open_lease("here@test", ["default"], 10)
    yield made
    made.close()


def step(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the wall clock."""
    monkeypatch.setattr(time, "time", lambda: TRULY() + seconds)


def let_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the host be up for longer, whatever its wall clock says."""
    up = sqlite_clock._up_seconds
    monkeypatch.setattr(sqlite_clock, "_up_seconds", lambda: up() + seconds)


def unique(engine: SQLiteEngine, task_id: str) -> str:
    message = Outgoing("default", payload(task_id), task_id, unique=UniqueKey("key", HOUR / 2))
    (holder,) = engine.uniques.enqueue([message])
    return holder


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
def test_what_ends_by_itself_ends_neither_sooner_nor_later(
    engine: SQLiteEngine, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = engine.locks.acquire("lock", "one", HOUR / 2).fence
    assert unique(engine, "a") == "a"
    assert engine.breakers.failed("breaker", "one", Threshold(1, HOUR, HOUR / 2))
    step(monkeypatch, seconds)
    assert not engine.locks.acquire("lock", "two", HOUR / 2).fence
    assert engine.locks.renew([("lock", fence)], HOUR / 2) == [True]
    assert unique(engine, "b") == "a"
    assert HOUR / 2 - 100 < engine.breakers.opens_in("breaker") <= HOUR / 2
    engine.sweep()
    assert engine.uniques.holder("key") == "a"
    let_pass(monkeypatch, HOUR)
    assert engine.locks.holder("lock") is None
    assert engine.locks.acquire("lock", "two", HOUR).fence > fence
    assert unique(engine, "b") == "b"
    assert engine.breakers.enter("breaker", "two", HOUR).probing


def test_who_waits_for_a_lock_is_due_at_once_when_the_clock_was_set_back(
    engine: SQLiteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = engine.locks.acquire("lock", "one", HOUR).fence
    step(monkeypatch, -HOUR)
    assert not engine.locks.acquire("lock", "x", HOUR, waiter="x").fence
    engine.enqueue([Outgoing("default", payload("x"), "x", due=time.time() + HOUR)])
    assert engine.locks.release("lock", fence)
    assert [one.task_id for one in engine.fetch({"default": 0}, 1)] == ["x"]


def test_all_processes_on_a_file_go_by_one_clock(engine: SQLiteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.locks.acquire("lock", "one", HOUR / 2)
    step(monkeypatch, HOUR)
    late = SQLiteEngine(engine.path)
    holder = late.locks.holder("lock")
    assert holder is not None
    assert holder.seconds > HOUR / 2 - 100
    late.close()


def test_a_host_that_was_started_anew_has_no_locks_and_its_own_clock(
    engine: SQLiteEngine, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had one is gone; a job keeps its key, for it is to run again."""
    engine.locks.acquire("lock", "one", HOUR)
    assert unique(engine, "a") == "a"
    engine.close()
    boot.write_text("the-second-start\n")
    step(monkeypatch, HOUR / 4)
    monkeypatch.setattr(sqlite_clock, "_up_seconds", lambda: 3.0)
    after = SQLiteEngine(engine.path)
    assert after.locks.holder("lock") is None
    assert after.file.now() == pytest.approx(time.time(), abs=60)
    assert unique(after, "b") == "a"
    after.close()


def test_without_the_note_of_its_first_opening_a_file_keeps_its_locks(engine: SQLiteEngine) -> None:
    """Somebody has tidied up: the processes that hold them may live."""
    engine.locks.acquire("lock", "one", HOUR)
    (engine.file.run / "clock").unlink()
    other = SQLiteEngine(engine.path)
    assert other.locks.holder("lock") is not None
    other.close()


@pytest.mark.parametrize("text", ["", "no note at all", "the-first-start soon\n", "\udc80"])
def test_a_damaged_note_is_written_anew(boot: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "clock").write_text(text, errors="surrogateescape")
    clock = StoreClock(tmp_path)
    assert not clock.agree()
    assert clock.now() == pytest.approx(time.time(), abs=60)
    assert (tmp_path / "clock").read_text().startswith("the-first-start ")


def test_where_no_start_is_named_the_wall_clock_is_the_clock(boot: Path, tmp_path: Path) -> None:
    boot.unlink()
    clock = StoreClock(tmp_path)
    assert not clock.agree()
    assert clock.now() == pytest.approx(time.time(), abs=60)
    assert not (tmp_path / "clock").exists()


def test_a_note_that_cannot_be_written_is_no_reason_not_to_open(boot: Path, tmp_path: Path) -> None:
    clock = StoreClock(tmp_path / "nowhere")
    assert not clock.agree()
    assert clock.now() == pytest.approx(time.time(), abs=60)
