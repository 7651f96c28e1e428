"""The children of `umbel up` start together and end together, whatever ends them (C19)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.cli.conftest import DEADLINE, until

CHILD = """
import os, signal, sys, time
from umbel.cli import lifeline
name, mode = sys.argv[1:]
def note(text):
    with open(name, "a") as file:
        file.write(text + "\\n")
def end(number, frame):
    note("TERM")
    if mode != "stubborn" or open(name).read().count("TERM") > 1:
        sys.exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGHUP, lambda number, frame: note("HUP"))
lifeline.hold()
note(f"start {os.getpid()}")
if mode == "dies":
    while not os.path.exists("die"):
        time.sleep(0.02)
    sys.exit(7)
while True:
    time.sleep(0.02)
"""

PARENT = """
import signal, sys
from umbel.cli.family import Child, Family
patient = "--patient" in sys.argv
names = [name for name in sys.argv[1:] if "=" in name]
def child(name, mode):
    return Child(name, [sys.executable, "child.py", name, mode], reloads=name == "worker")
family = Family([child(*text.split("=")) for text in names], patient=patient)
signal.signal(signal.SIGUSR1, lambda number, frame: family.reload())
ended = family.run()
print("ended", ended and (ended[0].name, ended[1]))
"""


class Parent:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []
        (folder / "child.py").write_text(CHILD)
        (folder / "parent.py").write_text(PARENT)

    def start(self, *names: str) -> None:
        command = [sys.executable, "parent.py", *names]
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.names = [name.partition("=")[0] for name in names if "=" in name]
        until(lambda: all("start" in self.notes(name) for name in self.names), "all children started")

    def notes(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def pids(self) -> list[int]:
        lines = [line for name in self.names for line in self.notes(name).splitlines()]
        return [int(line.split()[1]) for line in lines if line.startswith("start")]

    def finish(self) -> str:
        return self.process.communicate(timeout=DEADLINE)[0]

    def clean(self) -> None:
        for pid in (self.process.pid, *self.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=DEADLINE)


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def started(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Parent]:
    parent = Parent(tmp_path)
    try:
        parent.start(*request.param)
        yield parent
    finally:
        parent.clean()


@pytest.mark.parametrize("started", [("worker=calm", "web=calm")], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_child_with_one_sigterm_c19(started: Parent, number: int) -> None:
    os.killpg(started.process.pid, number)  # as a terminal does: to the whole foreground group
    assert started.finish() == "ended None\n"
    assert all(started.notes(name).count("TERM") == 1 for name in started.names)
    assert not any(alive(pid) for pid in started.pids())


@pytest.mark.parametrize("started", [("worker=stubborn", "web=calm")], indirect=True)
def test_a_second_signal_is_passed_on_c19(started: Parent) -> None:
    started.process.send_signal(signal.SIGINT)
    until(lambda: "TERM" in started.notes("worker"), "the first SIGTERM")
    assert started.process.poll() is None
    started.process.send_signal(signal.SIGINT)
    assert started.finish() == "ended None\n"
    assert started.notes("worker").count("TERM") == 2


@pytest.mark.parametrize("started", [("worker=dies", "web=calm")], indirect=True)
def test_a_child_that_dies_ends_the_others_and_is_named(started: Parent) -> None:
    (started.folder / "die").touch()
    assert started.finish() == "ended ('worker', 7)\n"
    assert started.notes("web").count("TERM") == 1
    assert not any(alive(pid) for pid in started.pids())


@pytest.mark.parametrize("started", [("worker=calm", "web=calm")], indirect=True)
def test_reload_signals_who_reloads_and_replaces_the_others(started: Parent) -> None:
    started.process.send_signal(signal.SIGUSR1)
    until(lambda: started.notes("web").count("start") == 2, "a second web process")
    until(lambda: "HUP" in started.notes("worker"), "SIGHUP at the worker")
    assert started.notes("worker").count("start") == 1
    started.process.send_signal(signal.SIGTERM)
    assert started.finish() == "ended None\n"


@pytest.mark.parametrize("started", [("worker=calm", "web=dies", "--patient")], indirect=True)
def test_while_developing_a_child_that_died_waits_for_the_next_change(started: Parent) -> None:
    (started.folder / "die").touch()
    until(lambda: not alive(started.pids()[-1]), "the end of web")
    (started.folder / "die").unlink()
    until(lambda: _reloaded(started), "web started again by a reload")
    assert alive(started.pids()[0])
    started.process.send_signal(signal.SIGTERM)
    assert started.finish() == "ended None\n"


def _reloaded(started: Parent) -> bool:
    # Sent again each time: the parent may not yet have seen the death when the first one came.
    started.process.send_signal(signal.SIGUSR1)
    return started.notes("web").count("start") >= 2


@pytest.mark.parametrize("started", [("worker=calm", "web=calm")], indirect=True)
def test_no_orphans_when_the_parent_is_killed(started: Parent) -> None:
    started.process.kill()
    until(lambda: not any(alive(pid) for pid in started.pids()), "the children's end")
