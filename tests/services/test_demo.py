"""``make demo`` without make: to the end without a terminal, and stopped by Ctrl-C on one."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from services.demo.mailbox import Mailbox

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_without_a_terminal_it_sends_everything_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.demo", str(tmp_path / "demo")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=150)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^sent 1,000  failed 0  uncertain 0  seconds [\d.]+  jobs/s [\d,]+$", done.stdout, re.MULTILINE)
    received = Mailbox(tmp_path / "demo" / "mailbox.db").recipients()
    assert (len(received), len(set(received))) == (1000, 1000)
    assert _left_running(tmp_path) == []


class Terminal:
    """The demo on a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "services.demo", str(folder)])  # noqa: S606
        self.output = ""

    def read_until(self, pattern: str, seconds: float = 90.0) -> re.Match[str]:
        """Read what it prints until the pattern is there."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.output)) is None:
            assert time.monotonic() < deadline, self.output[-2000:]
            self.output += os.read(self._descriptor, 65536).decode(errors="replace")
        return found

    def press_control_c(self) -> None:
        os.write(self._descriptor, b"\x03")

    def wait(self) -> int:
        """Read to its end and return its exit code."""
        try:
            while data := os.read(self._descriptor, 65536):
                self.output += data.decode(errors="replace")
        except OSError:  # Linux says so that nobody is at the other end any more
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        os.close(self._descriptor)
        if psutil.pid_exists(self.pid):
            os.kill(self.pid, signal.SIGKILL)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(tmp_path / "demo")
    yield found
    found.close()


# pty.fork is only used to exec at once.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_control_c_stops_everything_and_is_no_error(terminal: Terminal, tmp_path: Path) -> None:
    """The pages answer while it runs; nothing is left afterwards, and no traceback."""
    web = terminal.read_until(r"Campaign\s+\S*?(http://127\.0\.0\.1:\d+)")[1]
    status_page = terminal.read_until(r"Status\s+\S*?(http://127\.0\.0\.1:\d+)")[1]
    terminal.read_until(r" [1-9]\d*/1000")
    for address in (web, f"{web}/inbox", f"{web}/inbox/1", f"{web}/docs", status_page):
        answer = httpx.get(address, timeout=30)
        assert (answer.status_code, "<html" in answer.text) == (200, True), address
    assert "many small flowers on one stem" in httpx.get(f"{web}/inbox/1").text
    terminal.press_control_c()
    assert terminal.wait() == 0
    assert terminal.output.rstrip().endswith("Stopped.")
    assert "Traceback" not in terminal.output
    assert _left_running(tmp_path) == []
    for log in (tmp_path / "demo").glob("*.log"):
        assert "Traceback" not in log.read_text(), log.name


def test_a_second_demo_in_the_same_place_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    terminal.read_until("Starting")
    command = [sys.executable, "-m", "services.demo", str(tmp_path / "demo")]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (second.returncode, second.stdout) == (1, "A demo is running here already: stop it first.\n")
    terminal.press_control_c()
    assert terminal.wait() == 0


def _left_running(folder: Path) -> list[str]:
    """Return the command lines of processes whose environment names the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.environ().get("UMBEL_BROKER_URL", "") and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found
