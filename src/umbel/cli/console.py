"""What commands print: rich tables for a person at a terminal, plain aligned text in a pipe, JSON when asked.

Results go to stdout, remarks to stderr, so that ``id=$(umbel enqueue …)`` and ``umbel status --json | jq`` work.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import click

from umbel.monitor.spoken import ago, clock, duration
from umbel.plain_text import block, one_line

__all__ = ("ago", "clock", "duration", "is_terminal", "json_safe", "print_json", "print_table", "remark", "say")

_DEPTH: Final = 50


def is_terminal() -> bool:
    """Whether stdout is read by a person."""
    return sys.stdout.isatty()


def remark(text: str) -> None:
    """Say something about the run, not its result: on stderr, so that pipes stay clean."""
    click.secho(text, err=True, dim=sys.stderr.isatty())


def say(text: str, *, bold: bool = False, colour: str | None = None) -> None:
    """Print what a job, or whoever dispatched it, has said: as text, and nothing in it commands a terminal."""
    click.secho(block(text), bold=bold or None, fg=colour)


def print_json(value: object) -> None:
    """Print ``value`` as strict JSON; what JSON cannot hold becomes text, NaN and infinities become null."""
    click.echo(json.dumps(json_safe(value), indent=2, ensure_ascii=False, allow_nan=False))


def json_safe(value: object, depth: int = 0) -> object:
    """``value`` in JSON's own types."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth < _DEPTH:
        if isinstance(value, dict):
            return {str(key): json_safe(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [json_safe(item, depth + 1) for item in value]
    return str(value)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "none") -> None:
    """Print a table; numbers stand to the right. ``empty`` is said instead when there are no rows."""
    # Whoever may dispatch a job names things: a name commands no terminal, and makes no row of its own.
    cells = [["" if value is None else one_line(str(value)) for value in row] for row in rows]
    if not cells:
        click.echo(f"{title}: {empty}")
    elif is_terminal():
        _print_rich(title, columns, cells)
    else:
        click.echo(title)
        _print_plain(columns, cells)


def _print_rich(title: str, columns: Sequence[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if _is_numeric(rows, index) else "left", overflow="fold")
    for row in rows:
        # A name may hold square brackets, which rich would take for markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _print_plain(columns: Sequence[str], rows: list[list[str]]) -> None:
    widths = [max(len(line[index]) for line in [list(columns), *rows]) for index in range(len(columns))]
    right = [_is_numeric(rows, index) for index in range(len(columns))]
    for line in [list(columns), *rows]:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo(("  " + "  ".join(padded)).rstrip())


def _is_numeric(rows: list[list[str]], index: int) -> bool:
    return all(row[index].replace(".", "", 1).replace(",", "").isdigit() for row in rows if row[index])
