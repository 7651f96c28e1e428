"""Recorders that write at once: several of one store, of which each event counts once, and several stores' (C23)."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import select

from tests.integration.monitor.events import START
from tests.integration.monitor.tally import tally_is_right
from umbel.monitor.history import History
from umbel.monitor.retention import Limit, Retention
from umbel.monitor.tables import CURSORS, JOBS, NAMES
from umbel.states import JobState

ROOT = Path(__file__).resolve().parents[3]
READS = 40

#: Reads a log as the recorder does: from where the cursor stands, which others move as well.
RECORDER = """
import sys
from tests.integration.monitor.events import START, ended, ends, queued
from umbel.monitor.history import History
from umbel.monitor.writer import CursorMoved
from umbel.state.events import Logged

url, store, reads = sys.argv[1], sys.argv[2], int(sys.argv[3])
history = History(url)
print("ready", flush=True)
sys.stdin.readline()
while (after := int(history.cursor(store) or 0)) < reads:
    events = []
    # Each second read tells only of what is known: the jobs of the one before have run a second time.
    first = after - after % 2
    for number in range(20):
        name, at = f"{store}-{first}-{number}", START + number % 2
        if after % 2 == 0:
            events += [queued(name, at, task=f"both.t{number % 7}"), ends(ended(name, started=at + 1))]
        else:
            events.append(ends(ended(name, "FAILURE", started=at + 3), worker=f"w{number}"))
    try:
        history.write(store, Logged(str(after + 1), tuple(events)), after=str(after) if after else None)
    except CursorMoved:
        print("moved", flush=True)
history.close()
"""


@contextmanager
def recorder(url: str, store: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", RECORDER, url, store, str(READS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def go(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def check(history: History, stores: list[str]) -> None:
    with history.database.reading() as connection:
        cursors = {row.store: row.position for row in connection.execute(select(CURSORS))}
        rows = connection.execute(select(JOBS.c.task_id, JOBS.c.attempts, JOBS.c.state, JOBS.c.number)).all()
        names = connection.execute(select(NAMES.c.kind, NAMES.c.name)).all()
    assert cursors == dict.fromkeys(stores, str(READS))
    assert len(rows) == len(stores) * READS // 2 * 20
    assert {(row.attempts, row.state) for row in rows} == {(2, "failed")}
    assert sorted(row.number for row in rows) == list(range(1, len(rows) + 1))
    assert len(set(names)) == len(names)
    assert tally_is_right(history)
    points = history.charts.series(since=START, until=START + 3600, step=3600)
    counts = points[0].counts
    assert (counts["queued"], counts["succeeded"], counts["failed"]) == (len(rows), len(rows), len(rows))


def test_three_of_one_store_and_one_is_killed(history: History) -> None:
    url = history.database.address.render_as_string(hide_password=False)
    with ExitStack() as stack:
        processes = [stack.enter_context(recorder(url, "shop")) for _ in range(3)]
        go(processes)
        deadline = time.monotonic() + 100
        while int(history.cursor("shop") or 0) < READS // 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        processes[0].send_signal(signal.SIGKILL)
        outputs = [process.communicate(timeout=150) for process in processes]
        assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 0], outputs
    check(history, ["shop"])


def test_two_stores_at_once(history: History) -> None:
    url = history.database.address.render_as_string(hide_password=False)
    with ExitStack() as stack:
        processes = [stack.enter_context(recorder(url, store)) for store in ("shop", "mail")]
        go(processes)
        outputs = [process.communicate(timeout=150) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
    check(history, ["mail", "shop"])


def test_what_is_dropped_while_it_is_written_is_counted_right(history: History) -> None:
    """Jobs go, of which somebody is writing at that moment that they have failed."""
    url = history.database.address.render_as_string(hide_password=False)
    kept = Retention(jobs={state: Limit(most=3) for state in JobState})
    with ExitStack() as stack:
        processes = [stack.enter_context(recorder(url, store)) for store in ("shop", "mail")]
        go(processes)
        dropped = 0
        while any(process.poll() is None for process in processes):
            dropped += history.prune(kept)
        outputs = [process.communicate(timeout=150) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
    assert dropped
    assert tally_is_right(history)
