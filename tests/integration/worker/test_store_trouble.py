"""C14: a store that cannot be written for a while: nothing is lost, nothing runs twice, and the worker resumes."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from tests.integration.worker.plant import Plant, planted, until
from umbel import JobState
from umbel.errors import StoreFull

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits of a running process need Linux"),
    pytest.mark.stores("sqlite"),
]

#: Above the trail's size, below where the store's log is written.
_WALL = 16 << 10


@contextlib.contextmanager
def unwritable(*pids: int) -> Iterator[None]:
    """Let running processes write nothing beyond the first 16 KiB of any file, then heal them."""
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids]
    for pid, (_, hard) in zip(pids, before, strict=True):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_WALL, hard))
    try:
        yield
    finally:
        for pid, limits in zip(pids, before, strict=True):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_worker_that_cannot_write_for_a_while_c14(plant: Plant) -> None:
    worker = plant.start()
    (process,) = worker.children()
    for number in range(30):  # the log is beyond the wall from now on
        plant.ended(plant.send("say", f"warm{number}"))
    assert plant.store.with_name("plant.db-wal").stat().st_size > 2 * _WALL
    running = [plant.send("hold", "sync"), plant.send("ahold", "async")]
    plant.until_told("hold", times=2)
    with unwritable(process.pid):
        plant.open("sync", "async")
        plant.until_told("released", times=2)
        until(lambda: "could not be written" in worker.text(), "an error in the log")
        later = plant.send("say", "later")
        until(lambda: "Cannot fetch" in worker.text(), "an error in the log")
    for job in (*running, later):
        assert plant.ended(job).state is JobState.SUCCEEDED
    assert [len(plant.lines(*words)) for words in (("hold", "sync"), ("hold", "async"), ("say", "later"))] == [1, 1, 1]
    assert worker.children() == [process]
    until(plant.empty, "an empty queue")


@pytest.fixture
def small_plant(tmp_path: Path) -> Iterator[Plant]:
    """A plant whose store is on a file system of two mebibytes."""
    disk = tmp_path / "store"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        with planted(tmp_path) as plant:
            yield plant
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_full_disk_loses_nothing_and_the_worker_resumes_c14(small_plant: Plant) -> None:
    plant = small_plant
    worker = plant.start()
    (process,) = worker.children()
    running = [plant.send("hold", "sync"), plant.send("ahold", "async")]
    waiting = [plant.send("say", f"w{number}", countdown=1.0) for number in range(20)]
    plant.until_told("hold", times=2)
    filler = plant.store.with_name("filler")
    accepted: list[str] = []
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass
    with pytest.raises((StoreFull, OperationalError), match="no space left"):
        accepted.extend(plant.send("say", f"x{number}" + "." * 1000) for number in range(1000))
    plant.open("sync", "async")
    plant.until_told("released", times=2)
    until(lambda: "no space left" in worker.text(), "an error in the log")
    filler.unlink()
    for job in (*running, *waiting, *accepted):
        assert plant.ended(job).state is JobState.SUCCEEDED
    assert [len(plant.lines("hold", name)) for name in ("sync", "async")] == [1, 1]
    assert len(plant.lines("say")) == len(waiting) + len(accepted)
    assert worker.children() == [process]
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED
