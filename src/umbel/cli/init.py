"""``umbel init``: the first jobs of a new application, and how to go on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import click

from umbel.cli.group import Failure

__all__ = ("init",)

_JOBS: Final = '''"""The background jobs of {name}."""

import asyncio

from umbel import Umbel, progress

jobs = Umbel("{name}")


@jobs.task
def add(x: int, y: int) -> int:
    print(f"adding {{x}} and {{y}}")
    return x + y


@jobs.task
async def count(to: int = 5) -> str:
    for number in range(to):
        await asyncio.sleep(1)
        progress(number + 1, to, "counting")
    return f"counted to {{to}}"
'''

_IGNORED: Final = ".umbel/"

_NEXT: Final = """
Go on:
  umbel up                      worker, scheduler and dashboard; Ctrl-C ends them
  umbel enqueue add 2 3 --wait  in another terminal: the worker runs it
  umbel call add 2 3            runs it here and now, breakpoints work
  umbel status                  queues, workers, dead letters

From Python: from jobs import add; add.delay(2, 3)"""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Write a first jobs.py.

    Into FOLDER (here unless given), with a line in its .gitignore; says how to go on. Never overwrites: where a
    jobs.py already stands, nothing is changed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_jobs(folder)
        _ignore_store(folder)
    except OSError as error:
        raise Failure(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    if folder.resolve() != Path.cwd():
        click.echo(f"\nFirst: cd {folder}")
    click.echo(_NEXT)


def _write_jobs(folder: Path) -> None:
    path = folder / "jobs.py"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise Failure(f"{path} is already there: nothing was changed.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_JOBS.format(name=_name(folder)))
    click.echo(f"Wrote {path}")


def _name(folder: Path) -> str:
    return re.sub(r"\W+", "-", folder.resolve().name, flags=re.ASCII).strip("-_") or "app"


def _ignore_store(folder: Path) -> None:
    path = folder / ".gitignore"
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    if any(line.strip().strip("/") == _IGNORED.strip("/") for line in text.splitlines()):
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if text and not text.endswith("\n") else "") + _IGNORED + "\n")
    click.echo(f"{'Added' if text else 'Wrote'} {_IGNORED} {'to' if text else 'in'} {path}")
