"""Files that cannot be used (issue 2, bad input): one clear error that names the file, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from umbel.engine import sqlite_file
from umbel.engine.registry import open_engine
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing
from umbel.errors import StoreCorrupt, StoreError, StoreForeign, StoreFull, StoreReadOnly, StoreTooNew
from umbel.testing.contract._peer import Peer

NOBODY = 65534


def fill(path: Path, count: int = 2000) -> None:
    """Make a store with so many messages in one file, its log written back."""
    engine = SQLiteEngine(path)
    engine.enqueue([Outgoing("default", "x" * 200, f"t{number}") for number in range(count)])
    engine.file.shrink()
    engine.close()


def use(path: Path) -> None:
    """Do what a client and a worker would do with the store."""
    engine = SQLiteEngine(path)
    try:
        engine.open_lease("here@test", ["default"], 1)
        while engine.fetch({"default": 0}, 500):
            pass
        engine.enqueue([Outgoing("default", "x")])
    finally:
        engine.file.close()


def says_what_to_do(error: StoreError, path: Path) -> None:
    assert error.path == path
    assert str(path) in str(error)
    assert "\n" not in str(error)
    assert str(error).endswith("."), error


# -- damaged and foreign ----------------------------------------------------------------------------------------


def test_corrupt_pages(store: Path) -> None:
    fill(store)
    with store.open("r+b") as file:
        file.seek(4096 * 12)
        file.write(os.urandom(4096 * 20))
    with pytest.raises(StoreCorrupt, match="recover") as caught:
        use(store)
    says_what_to_do(caught.value, store)


def test_a_file_that_was_cut_off(store: Path) -> None:
    fill(store)
    os.truncate(store, 4096 * 10)
    with pytest.raises(StoreCorrupt) as caught:
        use(store)
    says_what_to_do(caught.value, store)


@pytest.mark.parametrize("content", [b"name;mail\nAnn;ann@example.org\n" * 200, b"\0" * 8192, os.urandom(8192)])
def test_a_file_that_is_no_database(store: Path, content: bytes) -> None:
    store.write_bytes(content)
    with pytest.raises(StoreForeign, match="not an Umbel store") as caught:
        use(store)
    says_what_to_do(caught.value, store)
    assert store.read_bytes() == content, "somebody else's file was changed"


@pytest.mark.parametrize("application", [0, 0x1234])
def test_a_database_of_another_application(store: Path, application: int) -> None:
    connection = sqlite3.connect(store)
    connection.execute(f"PRAGMA application_id = {application}")
    connection.execute("CREATE TABLE customer (name TEXT)")
    connection.commit()
    connection.close()
    before = store.read_bytes()
    with pytest.raises(StoreForeign, match="not an Umbel store") as caught:
        use(store)
    says_what_to_do(caught.value, store)
    assert store.read_bytes() == before, "somebody else's database was changed"


def test_a_folder_in_place_of_the_file(store: Path) -> None:
    store.mkdir()
    with pytest.raises(StoreReadOnly) as caught:
        use(store)
    says_what_to_do(caught.value, store)


def test_an_empty_file_becomes_a_store(store: Path) -> None:
    store.touch()
    use(store)


def test_a_newer_schema_is_left_alone(store: Path) -> None:
    """Two versions of Umbel on one file: the older one refuses, and changes nothing."""
    fill(store, 10)
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = store.read_bytes()
    with pytest.raises(StoreTooNew, match="upgrade Umbel") as caught:
        use(store)
    says_what_to_do(caught.value, store)
    assert (caught.value.found, caught.value.known) == (99, sqlite_file.SCHEMA)
    assert store.read_bytes() == before


# -- not writable -----------------------------------------------------------------------------------------------


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may look into, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="umbel-test-"))
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
    shutil.rmtree(folder)


def use_as_nobody(path: Path) -> str:
    """Use the store without root's powers, in a process of its own; return the error's class and text."""
    code = f"""
import os, sys
from pathlib import Path
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing
if os.geteuid() == 0:
    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
engine = SQLiteEngine(Path({str(path)!r}))
for what in (lambda: engine.enqueue([Outgoing("default", "x")]), engine.queues):
    try:
        what()
        print("worked")
    except BaseException as error:
        print(type(error).__name__, error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def forbid_folder(path: Path) -> None:
    path.parent.chmod(0o555)


def forbid_new_file(path: Path) -> None:
    path.unlink()
    shutil.rmtree(path.with_name(path.name + ".run"))
    path.parent.chmod(0o555)


def forbid_file(path: Path) -> None:
    path.parent.chmod(0o777)
    path.chmod(0o444)


def forbid_log(path: Path) -> None:
    """The file may be written, its folder not: SQLite cannot make its log."""
    path.chmod(0o666)
    path.parent.chmod(0o555)


def forbid_run(path: Path) -> None:
    """The file may be written, and what stands beside it belongs to somebody else (a first run with sudo)."""
    path.chmod(0o666)
    path.parent.chmod(0o777)
    run = path.with_name(path.name + ".run")
    run.chmod(0o500)
    for one in run.iterdir():
        one.chmod(0o400)


@pytest.mark.parametrize("forbid", [forbid_folder, forbid_new_file, forbid_file, forbid_log, forbid_run])
def test_a_store_that_cannot_be_written(open_folder: Path, forbid: Callable[[Path], None]) -> None:
    path = open_folder / "jobs.db"
    fill(path, 10)
    forbid(path)
    said = use_as_nobody(path).splitlines()
    assert len(said) == 2
    for line in said:
        assert line.startswith("StoreReadOnly "), line
        assert str(path) in line
        assert "permission" in line


def test_a_store_that_cannot_be_written_keeps_its_messages(open_folder: Path) -> None:
    path = open_folder / "jobs.db"
    fill(path, 10)
    forbid_file(path)
    use_as_nobody(path)
    path.chmod(0o600)
    engine = SQLiteEngine(path)
    assert [status.ready for status in engine.queues()] == [10]
    engine.close()


# -- full -------------------------------------------------------------------------------------------------------


def test_no_more_pages(engine: SQLiteEngine) -> None:
    """Full: the step is refused as a whole, what was accepted is there, and it goes on when there is space again."""
    engine.enqueue([Outgoing("default", "x" * 1000, f"t{number}") for number in range(50)])
    with engine.file.turn() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreFull, match="no space left") as caught:
        engine.enqueue([Outgoing("default", "y" * 100_000, f"big{number}") for number in range(10)])
    says_what_to_do(caught.value, engine.path)
    assert [(status.ready, status.leased) for status in engine.queues()] == [(50, 0)]
    with engine.file.turn() as connection:
        connection.execute("PRAGMA max_page_count = 4294967294")
    assert engine.enqueue([Outgoing("default", "y" * 100_000, f"big{number}") for number in range(10)]) == 10
    assert [status.ready for status in engine.queues()] == [60]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system here; test_no_more_pages stands in for it")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(tiny_disk: Path) -> None:
    """A worker on a full disk gets clear errors and is not killed; when there is space again it goes on."""
    code = f"""
import os
from pathlib import Path
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing
folder = Path({str(tiny_disk)!r})
engine = SQLiteEngine(folder / "jobs.db")
engine.enqueue([Outgoing("default", "x" * 100, f"t{{n}}") for n in range(300)])
filler = open(folder / "filler", "wb", buffering=0)
try:
    while filler.write(b"x" * 512):
        pass
except OSError:
    pass
for what in (
    lambda: engine.enqueue([Outgoing("default", "y" * 200_000)]),
    lambda: engine.open_lease("here@test", ["default"], 1),
    lambda: engine.wait(0.01),
):
    try:
        what()
        print("worked", flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
os.unlink(folder / "filler"); filler.close()
engine.open_lease("here@test", ["default"], 1)
print(len(engine.fetch({{"default": 0}}, 1000)), flush=True)
engine.close()
"""
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"the process ended with {done.returncode}: {done.stderr}"
    assert done.stdout.split()[:2] == ["StoreFull", "StoreFull"]
    assert done.stdout.split()[-1] == "300", "a message was lost"


# -- held by another --------------------------------------------------------------------------------------------


def test_a_store_that_another_program_keeps_locked(engine: SQLiteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's sqlite3 shell with an open transaction: who waits too long is told who to look for."""
    monkeypatch.setattr(sqlite_file, "_BUSY_SECONDS", 0.2)
    engine.enqueue([Outgoing("default", "x")])
    other = sqlite3.connect(engine.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as caught:
        engine.enqueue([Outgoing("default", "y")])
    says_what_to_do(caught.value, engine.path)
    other.execute("ROLLBACK")
    other.close()
    engine.enqueue([Outgoing("default", "y")])
    assert [status.ready for status in engine.queues()] == [2]


def test_a_store_that_cannot_be_opened_can_be_opened_later(url: str, store: Path) -> None:
    """The engine object outlives the trouble."""
    store.write_bytes(b"not a database, " * 100)
    engine = open_engine(url)
    with pytest.raises(StoreForeign):
        engine.enqueue([Outgoing("default", "x")])
    store.unlink()
    assert engine.enqueue([Outgoing("default", "x")]) == 1
    engine.close()


def test_peers_say_what_is_wrong_too(store: Path, peer: Callable[..., Peer]) -> None:
    store.write_bytes(b"not a database, " * 100)
    with pytest.raises(AssertionError, match="StoreForeign"):
        peer().call("queues")
