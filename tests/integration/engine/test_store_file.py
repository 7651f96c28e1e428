"""The file itself: mode, schema, several processes that make it, forks, whole transactions."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from umbel.engine import sqlite_file
from umbel.engine.sql import script
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.store import Outgoing, Record, Settled
from umbel.errors import StoreError
from umbel.testing.contract._peer import Peer


def pragma(path: Path, name: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
    finally:
        connection.close()


def run(code: str, *args: str) -> str:
    """Run a program in a process of its own, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", code, *args]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    """Arguments of jobs are nobody else's business: 0600, its log and its folder likewise."""
    umask = os.umask(0)
    try:
        engine = SQLiteEngine(tmp_path / "deep" / "store" / "jobs.db")
        engine.open_lease("here@test", ["default"], 1)
        engine.enqueue([Outgoing("default", "x")])
        folder = engine.path.parent
        for path in [folder, *folder.rglob("*")]:
            if path.name != ".gitignore":
                mode = stat.S_IMODE(path.stat().st_mode)
                assert not mode & 0o077, f"{path.name} has mode {mode:o}"
        assert stat.S_IMODE(engine.path.stat().st_mode) == 0o600
        engine.close()
    finally:
        os.umask(umask)


def test_c1_a_new_folder_keeps_itself_out_of_version_control(tmp_path: Path) -> None:
    engine = SQLiteEngine(tmp_path / ".umbel" / "umbel.db")
    engine.check()
    engine.close()
    assert (tmp_path / ".umbel" / ".gitignore").read_text() == "*\n"


def test_an_existing_folder_gets_nothing_but_the_store(tmp_path: Path) -> None:
    engine = SQLiteEngine(tmp_path / "jobs.db")
    engine.check()
    engine.close()
    assert {path.name for path in tmp_path.iterdir()} == {"jobs.db", "jobs.db.run"}


def test_the_file_says_whose_it_is(engine: SQLiteEngine) -> None:
    engine.check()
    assert pragma(engine.path, "application_id") == 0x554D424C
    assert pragma(engine.path, "user_version") == sqlite_file.SCHEMA
    assert pragma(engine.path, "auto_vacuum") == 2, "it could never give space back"


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_c14_durability_is_what_was_chosen(tmp_path: Path, durability: str, synchronous: int) -> None:
    file = StoreFile(tmp_path / "jobs.db", durability=durability)
    with file.turn() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == synchronous
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    file.close()


# -- schema -----------------------------------------------------------------------------------------------------


NEXT = sqlite_file.SCHEMA + 1


def newer(monkeypatch: pytest.MonkeyPatch, statements: str) -> None:
    """Let this process know a next schema, which ``statements`` lead to."""
    monkeypatch.setattr(sqlite_file, "SCHEMA", NEXT)
    monkeypatch.setattr(
        sqlite_file, "script", lambda name: statements if name == f"schema_{NEXT}.sql" else script(name)
    )


def test_an_older_file_is_brought_forward(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SQLiteEngine(store)
    engine.enqueue([Outgoing("default", "kept", "a")])
    engine.close()
    newer(monkeypatch, "ALTER TABLE message ADD COLUMN colour TEXT DEFAULT 'green';")
    engine = SQLiteEngine(store)
    engine.open_lease("here@test", ["default"], 1)
    assert [delivery.payload for delivery in engine.fetch({"default": 0}, 1)] == ["kept"]
    with engine.file.read() as connection:
        assert connection.execute("SELECT colour FROM message").fetchall() == [("green",)]
    engine.close()
    assert pragma(store, "user_version") == NEXT


def test_a_new_file_gets_every_step(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer(monkeypatch, "CREATE TABLE colour (name TEXT);")
    file = StoreFile(store)
    with file.read() as connection:
        assert connection.execute("SELECT count(*) FROM colour").fetchone() == (0,)
    file.close()
    assert pragma(store, "user_version") == NEXT


def test_a_step_that_fails_leaves_the_file_as_it_was(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SQLiteEngine(store)
    engine.enqueue([Outgoing("default", "kept", "a")])
    engine.close()
    with monkeypatch.context() as patch:
        newer(patch, "CREATE TABLE colour (name TEXT);\nALTER TABLE nothing ADD COLUMN x;")
        with pytest.raises(StoreError):
            SQLiteEngine(store).check()
    assert pragma(store, "user_version") == NEXT - 1
    engine = SQLiteEngine(store)
    assert [status.ready for status in engine.queues()] == [1]
    with engine.file.read() as connection:
        assert connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'colour'").fetchall() == []
    engine.close()


def test_processes_that_make_the_file_at_once(engine: SQLiteEngine, peer: Callable[..., Peer]) -> None:
    peers = [peer() for _ in range(5)]
    assert not engine.path.exists(), "the others were to find nothing"
    for number, one in enumerate(peers):
        one.ask("enqueue", [Outgoing("default", "x", f"t{number}-{part}") for part in range(20)])
    assert [one.answer() for one in peers] == [20] * 5
    assert [status.ready for status in engine.queues()] == [100]


def test_threads_that_open_the_file_at_once(store: Path) -> None:
    engine = SQLiteEngine(store)
    barrier = threading.Barrier(8)
    errors: list[Exception] = []

    def use(number: int) -> None:
        barrier.wait()
        try:
            engine.enqueue([Outgoing("default", "x")]) if number % 2 else engine.queues()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [status.ready for status in engine.queues()] == [4]
    engine.close()


# -- whole transactions -----------------------------------------------------------------------------------------


def test_c18_a_batch_is_written_as_a_whole_or_not_at_all(engine: SQLiteEngine) -> None:
    """The last entry cannot be stored: nothing of the first has been."""
    engine.open_lease("here@test", ["default"], 1)
    engine.enqueue([Outgoing("default", "{}", "a"), Outgoing("default", "{}", "b")])
    a, b = engine.fetch({"default": 0}, 2)
    good = Record("a", "SUCCESS", True, "{}", since=a.enqueued)
    bad = Record("b", "SUCCESS", True, object())  # type: ignore[arg-type]
    following = Outgoing("default", "{}", "next")
    with pytest.raises((sqlite3.Error, StoreError)):
        engine.settle(
            [Settled(a.seq, "ack", records=[good], outgoing=[following]), Settled(b.seq, "ack", records=[bad])]
        )
    assert engine.read(["a", "b"]) == []
    assert engine.locate("next") is None
    assert engine.settle([Settled(a.seq, "ack", records=[good])]).refused == (), "its message had gone"
    assert engine.settle([Settled(b.seq, "ack")]).refused == ()


def test_c14_a_batch_that_cannot_be_stored_leaves_nothing(engine: SQLiteEngine) -> None:
    with pytest.raises((sqlite3.Error, StoreError)):
        engine.enqueue([*[Outgoing("default", "{}", f"t{n}") for n in range(600)], Outgoing("default", "{}", object())])  # type: ignore[arg-type]
    assert [status.ready for status in engine.queues()] in ([], [0])
    assert engine.enqueue([Outgoing("default", "{}", "t0")]) == 1


# -- forks ------------------------------------------------------------------------------------------------------

_FORK = """
import os, sys, threading
from pathlib import Path
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing, Settled

def send(name):
    return engine.enqueue([Outgoing("default", "{}", name)])

def child(body):
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
        os._exit(0)
    except BaseException as error:
        print("child:", repr(error), file=sys.stderr, flush=True)
        os._exit(1)

def join(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

engine = SQLiteEngine(Path(sys.argv[1]))
"""


def waiting(path: Path) -> list[str | None]:
    """Return the ids that are in the file, as a process sees them that has nothing to do with the fork."""
    code = "import sqlite3, sys; print([r[0] for r in sqlite3.connect(sys.argv[1]).execute("
    found = run(code + "'SELECT task_id FROM message ORDER BY task_id')])", str(path))
    ids: list[str | None] = eval(found)  # noqa: S307 - our own list
    return ids


def test_c14_a_forked_child_dispatches_safely_also_after_its_parent_has_closed(store: Path) -> None:
    """The copy of SQLite's lock table must not make the parent the last user of the log that the child writes to."""
    code = """
send("parent"); engine.queues()
to_child, from_parent = os.pipe(); to_parent, from_child = os.pipe()
def body():
    send("child-1"); engine.queues()
    os.write(from_child, b"x"); os.read(to_child, 1)
    send("child-2"); send("child-3")
pid = child(body)
os.read(to_parent, 1)
engine.close()
os.write(from_parent, b"x")
join(pid)
"""
    run(_FORK + code, str(store))
    assert waiting(store) == ["child-1", "child-2", "child-3", "parent"]


def test_c14_a_fork_in_the_middle_of_writing_threads(store: Path) -> None:
    """Other threads write while a child is forked: neither the parent nor the child finds a lock held for ever."""
    code = """
stop = threading.Event(); counts = [0, 0]
def write(number):
    while not stop.is_set():
        send(f"thread-{number}-{counts[number]:06}"); counts[number] += 1
threads = [threading.Thread(target=write, args=(n,)) for n in range(2)]
for thread in threads: thread.start()
for n in range(8):
    def body(n=n):
        send(f"child-{n}"); engine.queues()
    join(child(body))
stop.set()
for thread in threads: thread.join()
print(sum(counts))
"""
    written = int(run(_FORK + code, str(store)))
    found = [name for name in waiting(store) if name is not None]
    assert [name for name in found if name.startswith("child")] == [f"child-{n}" for n in range(8)]
    assert len(found) == written + 8


def test_c15_a_forked_child_holds_nothing_of_its_parents(store: Path) -> None:
    """It has no lease of its parent's: it can settle none of its messages, and its end frees none of them."""
    code = """
engine.open_lease("parent@test", ["default"], 1)
send("a")
(held,) = engine.fetch({"default": 0}, 1)
engine.started(held.seq)
def body():
    assert engine.settle([Settled(held.seq, "ack")]).refused, "the child settled its parent's message"
    engine.open_lease("child@test", ["default"], 1)
    assert engine.fetch({"default": 0}, 1) == []
    assert len(engine.workers()) == 2
    engine.close()
join(child(body))
def sudden():
    engine.queues()
join(child(sudden))
assert engine.reap() == 0
assert [worker.in_flight for worker in engine.workers()] == [1]
assert engine.settle([Settled(held.seq, "ack")]).refused == ()
"""
    run(_FORK + code, str(store))
    assert waiting(store) == []


def test_c14_a_forked_child_that_dies_gives_back_what_it_held(store: Path) -> None:
    code = """
send("a")
def body():
    engine.open_lease("child@test", ["default"], 1)
    assert len(engine.fetch({"default": 0}, 1)) == 1
join(child(body))
assert engine.reap() == 1
engine.open_lease("parent@test", ["default"], 1)
assert [d.deliveries for d in engine.fetch({"default": 0}, 1)] == [2]
"""
    run(_FORK + code, str(store))


# -- size -------------------------------------------------------------------------------------------------------


def test_an_idle_store_gives_its_space_back(engine: SQLiteEngine) -> None:
    engine.enqueue([Outgoing("default", "x" * 5000) for _ in range(1000)])
    engine.shrink()
    large = engine.path.stat().st_size
    assert engine.purge("default") == 1000
    engine.shrink()
    assert engine.path.stat().st_size < large / 4
    log = engine.path.with_name(engine.path.name + "-wal")
    assert not log.exists() or log.stat().st_size == 0
