"""umbel init: a first jobs.py in an empty folder; never overwrites."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Cli


def test_an_empty_folder_gets_jobs_that_run(cli: Cli) -> None:
    shown = cli.ok("init")
    assert ast.parse((cli.folder / "jobs.py").read_text())
    assert (cli.folder / ".gitignore").read_text() == ".umbel/\n"
    for hint in ("umbel up", "umbel enqueue add 2 3 --wait", "umbel call add 2 3", "umbel status"):
        assert hint in shown
    assert cli.ok("call", "add", "2", "3") == "adding 2 and 3\n5"


def test_another_folder_is_made(cli: Cli) -> None:
    shown = cli.ok("init", "my shop")
    assert 'Umbel("my-shop")' in (cli.folder / "my shop" / "jobs.py").read_text()
    assert "cd my shop" in shown


def test_a_second_time_changes_nothing(cli: Cli) -> None:
    mine = cli.write("jobs.py", "# mine\n")
    done = cli.run("init")
    assert done.returncode == 1
    assert done.stderr == "Error: jobs.py is already there: nothing was changed.\n"
    assert mine.read_text() == "# mine\n"
    assert not (cli.folder / ".gitignore").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("*.pyc", "*.pyc\n.umbel/\n"),
        ("*.pyc\n", "*.pyc\n.umbel/\n"),
        ("/.umbel\n", "/.umbel\n"),
        ("", ".umbel/\n"),
    ],
)
def test_gitignore_is_only_added_to(cli: Cli, before: str, after: str) -> None:
    path = cli.write(".gitignore", before)
    cli.ok("init")
    assert path.read_text() == after


def test_a_file_in_the_place_of_the_folder(cli: Cli) -> None:
    cli.write("taken", "")
    done = cli.run("init", "taken/inside")
    assert done.returncode == 1
    assert "cannot be written: Not a directory" in done.stderr
    assert Path(cli.folder, "taken").read_text() == ""
