"""--reload notices changed sources, and waits while they do not compile."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.integration.cli.conftest import until
from umbel.cli.reload import Sources, watch


def test_written_added_and_removed_files_are_changes(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept.py", tmp_path / "pkg" / "gone.py"
    gone.parent.mkdir()
    kept.write_text("a = 1")
    gone.write_text("b = 1")
    sources = Sources(tmp_path)
    assert sources.changes() == []
    os.utime(kept, ns=(1, 1))
    gone.unlink()
    (tmp_path / "new.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert sources.changes() == [kept, tmp_path / "new.py", gone]
    assert sources.changes() == []


def test_environments_and_hidden_folders_are_not_watched(tmp_path: Path) -> None:
    for folder in (".git", "env", "node_modules", "__pycache__"):
        (tmp_path / folder).mkdir()
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    sources = Sources(tmp_path)
    for folder in (".git", "env", "node_modules", "__pycache__"):
        (tmp_path / folder / "x.py").write_text("")
    assert sources.changes() == []


def test_a_file_that_does_not_compile_is_named_and_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jobs.py"
    path.write_text("a = 1\n")
    calls: list[int] = []
    stop = threading.Event()
    said: list[str] = []

    def run() -> None:
        watch(tmp_path, lambda: calls.append(1), stop, interval=0.02)

    thread = threading.Thread(target=run)
    thread.start()
    try:

        def named() -> bool:
            # Written again each time: the first one may have come before the watcher's first look.
            path.write_text("a = 1\ndef broken(:\n")
            said.append(capsys.readouterr().err)
            return "Not reloaded: jobs.py, line 2" in "".join(said)

        until(named, "the broken line named")
        assert not calls
        path.write_text("a = 2\n\n\n")
        until(lambda: calls, "a reload after the repair")
    finally:
        stop.set()
        thread.join(5)
