"""Kernel-lock leases (C15, C17): alive as long as the process, with a list of what had started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from umbel.engine import lease as lease_module
from umbel.engine.lease import KernelLock, Lease, LeaseLost, is_own, read_abandoned, read_overdue
from umbel.engine.sqlite import SQLiteEngine
from umbel.testing.contract._peer import Peer

_HOLD = """
import sys
from pathlib import Path
from umbel.engine.lease import Lease
lease = Lease(Path(sys.argv[1]), slots=4)
for seq in (11, 12, 13): lease.start(seq)
lease.start(14, 0.001)
lease.end(12)
lease.start(15)
lease.start(16)
print(lease.token, flush=True)
sys.stdin.read()
"""


def held(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a process that holds a lease and has started jobs."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_c15_a_living_process_is_not_abandoned(tmp_path: Path) -> None:
    process, token = held(tmp_path)
    try:
        assert read_abandoned(tmp_path, token) is None
        assert read_abandoned(tmp_path, token) is None, "looking took the lock from its owner"
    finally:
        end(process)


@pytest.mark.parametrize("how", ["removed", "locked"])
def test_c15_a_lease_is_not_lost_to_one_who_tidies_up_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Another process finds a file that nobody has locked yet, and takes it for a dead one's."""
    lock, moments = lease_module._lock, iter(range(9))

    def late(fd: int, *, blocking: bool) -> bool:
        if next(moments) == 0:
            if how == "locked":
                return False
            for path in tmp_path.glob("*.lease"):
                path.unlink()
        return lock(fd, blocking=blocking)

    monkeypatch.setattr(lease_module, "_lock", late)
    lease = Lease(tmp_path)
    looks = "import sys; from pathlib import Path; from umbel.engine.lease import read_abandoned\n"
    looks += "print(read_abandoned(Path(sys.argv[1]), sys.argv[2]))"
    command = [sys.executable, "-c", looks, str(tmp_path), lease.token]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    try:
        assert subprocess.check_output(command, env=environment, text=True).strip() == "None", "taken for dead"
    finally:
        lease.release()
    assert next(moments) == 2


def test_who_removes_every_file_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_lock", lambda fd, *, blocking: False)
    with pytest.raises(LeaseLost, match="let nothing else tidy up there"):
        Lease(tmp_path)


def test_c17_a_dead_process_leaves_the_list_of_what_had_started(tmp_path: Path) -> None:
    """What ended is not on it; above its slots the list is short, never wrong."""
    process, token = held(tmp_path)
    end(process)
    abandoned = read_abandoned(tmp_path, token)
    assert abandoned is not None
    assert sorted(abandoned.started) == [11, 13, 14, 15]
    abandoned.leave()
    again = read_abandoned(tmp_path, token)
    assert again is not None, "who only looked took it away"
    again.discard()
    gone = read_abandoned(tmp_path, token)
    assert gone is not None
    assert gone.started == ()


def test_c19_a_supervisor_sees_who_is_beyond_his_limit(tmp_path: Path) -> None:
    process, token = held(tmp_path)
    try:
        while read_overdue(tmp_path, token, 0.0) == []:
            pass
        assert read_overdue(tmp_path, token, 0.0) == [14]
        assert read_overdue(tmp_path, token, 3600.0) == []
        assert read_abandoned(tmp_path, token) is None, "looking took the lock from its owner"
    finally:
        end(process)


def test_a_lease_of_this_process_is_alive_until_it_is_released(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    assert is_own(lease.token)
    assert read_abandoned(tmp_path, lease.token) is None
    lease.release()
    assert not is_own(lease.token)
    assert not lease.path.exists()
    assert read_abandoned(tmp_path, lease.token) is not None


def test_the_idle_mark_is_in_the_file(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    for value in (True, False):
        lease.idle = value
        assert lease.idle is value
        assert lease.path.read_bytes()[8] == int(value)
    lease.release()


def test_a_started_job_is_listed_once(tmp_path: Path) -> None:
    lease = Lease(tmp_path, slots=2)
    lease.start(7)
    lease.start(7)
    lease.end(7)
    lease.end(7)
    lease.start(8)
    lease.start(9)
    data = lease.path.read_bytes()
    lease.release()
    numbers = [int.from_bytes(data[at : at + 8], "little", signed=True) for at in range(64, len(data), 8)]
    assert (7 in numbers, 8 in numbers, 9 in numbers) == (False, True, True)


def test_one_lock_keeps_the_other_process_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = "import sys; from pathlib import Path; from umbel.engine.lease import KernelLock;"
    code += "lock = KernelLock(Path(sys.argv[1])); print(lock.acquire())"

    def other() -> str:
        command = [sys.executable, "-c", code, str(path)]
        return subprocess.run(
            command, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
        ).stdout.strip()

    lock = KernelLock(path)
    assert lock.acquire()
    assert other() == "False"
    lock.release()
    assert other() == "True"
    assert lock.acquire(), "it can be taken again"
    lock.close()
    assert other() == "True"


@pytest.mark.parametrize("end_it", ["kill", "close"])
def test_nothing_is_left_of_a_worker_that_is_gone(engine: SQLiteEngine, url: str, end_it: str) -> None:
    """Each process brings files of its own: they must not pile up, however it ends."""
    peers = [Peer(url, "default") for _ in range(3)]
    assert len(engine.workers()) == 3
    for peer in peers:
        if end_it == "close":
            peer.call("close")
        peer.kill()
    engine.reap()
    assert {path.name for path in engine.file.run.iterdir()} <= {"write.lock", "clock"}
