"""``umbel dead drop``: forget dead letters, after saying how many those are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from umbel.cli.dead_filter import confirm, count_of, filter_options, require_choice
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

if TYPE_CHECKING:
    from umbel.engine.letters import LetterFilter
    from umbel.monitor.operations import LetterSelection

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
    app = invocation.umbel()
    do, me = operating(app)
    if names:
        # All of them are looked for before the first one goes.
        keys = list(dict.fromkeys(app.dead_letters.show(name).key for name in names))
        if not dry_run:
            dropped = sum(do.letters.drop(key, by=me).count or 0 for key in keys)
        click.echo(f"Would drop {count_of(len(keys))}." if dry_run else f"Dropped {count_of(dropped)}.")
        return
    selection = do.letters.preview(where)
    fitting = count_of(selection.count, more=selection.more)
    if dry_run or not selection.count:
        click.echo(f"Would drop {fitting}." if selection.count else "No dead letter fits, so there is nothing to drop.")
        return
    if selection.count > 1 and not yes:
        confirm(f"Drop {fitting}?")
    dropped = 0
    following: LetterSelection | None = selection
    while following is not None:
        step = do.letters.drop_all(following, by=me)
        dropped, following = dropped + step.done, step.next
    click.echo(f"Dropped {count_of(dropped)}.")
