"""``umbel dead drop``: forget dead letters, after saying how many those are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from umbel.cli.dead_filter import confirm, count_of, filter_options, require_choice
from umbel.cli.invocation import Invocation, app_options, pass_invocation

if TYPE_CHECKING:
    from umbel.engine.letters import LetterFilter

__all__ = ("drop",)


@click.command()
@click.argument("names", nargs=-1, metavar="[ID]...")
@filter_options
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say how many would be dropped, and drop nothing.")
@app_options
@pass_invocation
def drop(
    invocation: Invocation, names: tuple[str, ...], where: LetterFilter, everything: bool, yes: bool, dry_run: bool
) -> None:
    """Drop dead letters.

    Those IDs, which are ids of jobs or numbers, or all that fit the options. What was dropped is gone: 'umbel dead
    export' keeps it.
    """
    require_choice(names, where, everything)
    letters = invocation.umbel().dead_letters
    if names:
        found = [letters.show(name) for name in names]
        count = len(found)
    else:
        count = sum(1 for _ in letters.walk(where))
    if dry_run or not count:
        click.echo(f"Would drop {count_of(count)}." if count else "No dead letter fits, so there is nothing to drop.")
        return
    if count > 1 and not (names or yes):
        confirm(f"Drop {count_of(count)}?")
    dropped = letters.drop(found) if names else letters.drop_all(where)
    click.echo(f"Dropped {count_of(dropped)}.")
