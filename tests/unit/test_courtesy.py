"""What the recorder leaves to the jobs, and how it knows that there is room for both."""

from pathlib import Path

import pytest

from umbel.monitor import courtesy
from umbel.monitor.courtesy import Courtesy, IdleCores


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_core_to_spare_it_works_a_sixteenth_of_the_time() -> None:
    assert Courtesy(lambda: 1.4, Clock()).rest(0.2) == pytest.approx(3.0)


def test_with_cores_to_spare_nobody_waits() -> None:
    assert Courtesy(lambda: 1.5, Clock()).rest(0.2) == 0.0


def test_what_presses_does_not_wait_and_takes_patience_all_the_same() -> None:
    clock = Clock()
    asked = Courtesy(lambda: 0.0, clock)
    assert asked.rest(0.2, pressing=True) == 0.0
    clock.now += 29.0
    assert asked.rest(0.2, pressing=True) == 0.0
    assert asked.rest(1.0) == pytest.approx(1.0)


def test_patience_ends_after_half_a_minute() -> None:
    clock = Clock()
    asked = Courtesy(lambda: 0.0, clock)
    clock.now += 29.9
    # And no rest goes beyond its end.
    assert asked.rest(1.0) == pytest.approx(0.1)
    clock.now += 0.1
    assert asked.rest(1.0) == 0.0
    clock.now += 60.0
    assert asked.rest(1.0) == 0.0


def test_patience_comes_back_as_fast_as_it_went() -> None:
    clock, idle = Clock(), [0.0]
    asked = Courtesy(lambda: idle[0], clock)
    clock.now += 40.0
    assert asked.rest(1.0) == 0.0
    # With nothing left to do for two seconds, and room for three more.
    clock.now += 2.0
    asked.caught_up()
    idle[0] = 2.0
    clock.now += 3.0
    assert asked.rest(1.0) == 0.0
    idle[0] = 0.0
    assert asked.rest(1.0) == pytest.approx(5.0)
    # And never more than there was.
    clock.now += 600.0
    asked.caught_up()
    assert asked.rest(10.0) == pytest.approx(30.0)


def _stat(path: Path, idle: int, waiting: int) -> Path:
    path.write_text(f"cpu  900 1 300 {idle} {waiting} 0 7 0 0 0\ncpu0 450 1 150 10 2 0 3 0 0 0\n")
    return path


def _unlimited(tmp_path: Path) -> list[Path]:
    second, first = tmp_path / "cpu.max", tmp_path / "cpu.cfs_quota_us"
    second.write_text("max 100000\n")
    first.write_text("-1\n")
    return [second, first, tmp_path / "none"]


def test_idle_cores_are_counted_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, own = Clock(), Clock()
    monkeypatch.setattr(courtesy.time, "process_time", own)
    monkeypatch.setattr(courtesy.os, "sysconf", lambda _: 100)
    stat = _stat(tmp_path / "stat", 1000, 50)
    idle = IdleCores(stat, _unlimited(tmp_path), clock)
    assert idle() == 0.0
    # In two seconds: three and a quarter of idle cores, and a half in which this process itself has worked.
    _stat(stat, 1300, 75)
    clock.now += 2.0
    own.now += 0.5
    assert idle() == pytest.approx((3.25 + 0.5) / 2)
    # Not so soon again.
    _stat(stat, 1300, 75)
    clock.now += 0.1
    assert idle() == pytest.approx((3.25 + 0.5) / 2)
    clock.now += 2.0
    assert idle() == 0.0


@pytest.mark.parametrize(("name", "share"), [("cpu.max", "150000 100000\n"), ("cpu.cfs_quota_us", "150000\n")])
def test_a_container_with_a_share_of_its_own_has_none_to_spare(tmp_path: Path, name: str, share: str) -> None:
    clock = Clock()
    stat = _stat(tmp_path / "stat", 1000, 0)
    quotas = _unlimited(tmp_path)
    (tmp_path / name).write_text(share)
    idle = IdleCores(stat, quotas, clock)
    _stat(stat, 100_000, 0)
    clock.now += 1.0
    assert idle() == 0.0


@pytest.mark.parametrize("text", [None, "", "intr 5 0 0\n", "cpu 1 2\n"])
def test_where_nobody_tells_there_are_none(tmp_path: Path, text: str | None) -> None:
    clock, stat = Clock(), tmp_path / "stat"
    if text is not None:
        stat.write_text(text)
    idle = IdleCores(stat, [tmp_path / "none"], clock)
    clock.now += 1.0
    assert idle() == 0.0
