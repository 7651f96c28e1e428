"""``umbel dead list``: the dead letters, newest first, or how many are alike."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import click

from umbel.cli.console import ago, print_json, print_table, remark
from umbel.cli.dead_filter import filter_options
from umbel.cli.invocation import Invocation, app_options, pass_invocation

if TYPE_CHECKING:
    from umbel.engine.letters import LetterFilter
    from umbel.jobs.dead_letters import DeadLetter, DeadLetters

__all__ = ("list_letters",)

#: What holds the job's arguments, or is long; ``show`` has it.
_LEFT_OUT: Final = ("payload", "failures")
_WIDTH: Final = 60


@click.command(name="list")
@filter_options
@click.option("--group", is_flag=True, help="Count those that are alike, by fingerprint and release.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to show.")
@click.option("--after", type=int, metavar="NUMBER", help="Go on below this number, the last one of a page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def list_letters(
    invocation: Invocation, where: LetterFilter, group: bool, limit: int, after: int | None, as_json: bool
) -> None:
    """List dead letters, the newest first."""
    letters = invocation.umbel().dead_letters
    if group:
        _list_groups(letters, where, limit, as_json)
        return
    found = letters.find(where, limit=limit, after=after)
    if as_json:
        print_json([_shown(letter) for letter in found])
        return
    columns = ("number", "died", "task", "queue", "reason", "replays", "job")
    print_table("Dead letters", columns, [_row(letter) for letter in found])
    if len(found) == limit:
        remark(f"There may be more: --after {found[-1].id}")


def _shown(letter: DeadLetter) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(letter).items() if name not in _LEFT_OUT}


def _row(letter: DeadLetter) -> tuple[object, ...]:
    replays = f"{letter.replays} (on its way)" if letter.replaying else letter.replays
    return (letter.id, ago(letter.died), letter.task, letter.queue, _short(letter.reason), replays, letter.key)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _list_groups(letters: DeadLetters, where: LetterFilter, limit: int, as_json: bool) -> None:
    found = letters.groups(where)
    if as_json:
        print_json([dataclasses.asdict(group) for group in found[:limit]])
        return
    columns = ("count", "newest", "task", "release", "reason of the newest", "fingerprint")
    rows = [(g.count, ago(g.newest), g.task, g.release, _short(g.reason), g.fingerprint) for g in found[:limit]]
    print_table("Dead letters that are alike", columns, rows)
    if len(found) > limit:
        remark(f"{len(found) - limit} more groups: --limit {min(len(found), 1000)}")
