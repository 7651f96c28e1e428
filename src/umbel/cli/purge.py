"""``umbel purge``: drop what waits in queues, after saying what that is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from umbel.cli.console import print_table
from umbel.cli.group import EX_USAGE, Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

if TYPE_CHECKING:
    from umbel.engine.store import QueueStatus

__all__ = ("purge",)


@click.command()
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be dropped, and drop nothing.")
@app_options
@pass_invocation
def purge(invocation: Invocation, queues: tuple[str, ...], yes: bool, dry_run: bool) -> None:
    """Drop the jobs that wait.

    Those of QUEUEs, or of all queues when none is named, delayed ones included; running ones go on. What comes after
    the look stays.

    What was dropped is gone: it is no dead letter.
    """
    app = invocation.umbel()
    chosen = _choose(app.engine.queues(), queues)
    total = sum(_droppable(queue) for queue in chosen)
    if not total:
        click.echo("Nothing waits, so there is nothing to drop.")
        return
    rows = [(q.name, q.ready + q.suspect, q.delayed, q.leased) for q in chosen]
    print_table("Would drop" if dry_run else "To drop", ("queue", "waiting", "delayed", "(running, kept)"), rows)
    if dry_run:
        return
    if not yes:
        _ask(total)
    do, me = operating(app)
    dropped: dict[str, int] = {}
    for queue in chosen:
        # Somebody has thought about what was shown: where the store can tell it is that, and elsewhere no more of it.
        expected = None if yes else _droppable(queue)
        dropped[queue.name] = do.queues.purge(queue.name, by=me, expected=expected, upto=queue.mark).count or 0
    click.echo(
        f"Dropped {sum(dropped.values())}: " + ", ".join(f"{count} of {name}" for name, count in dropped.items())
    )


def _choose(known: list[QueueStatus], names: tuple[str, ...]) -> list[QueueStatus]:
    unknown = sorted(set(names) - {queue.name for queue in known})
    if unknown:
        has = ", ".join(queue.name for queue in known) or "none yet"
        raise Failure(
            f"There is no queue {', '.join(map(repr, unknown))}; there are: {has}. Nothing was dropped.", EX_USAGE
        )
    return [queue for queue in known if (not names and _droppable(queue)) or queue.name in names]


def _droppable(queue: QueueStatus) -> int:
    return queue.ready + queue.delayed + queue.suspect


def _ask(total: int) -> None:
    if not sys.stdin.isatty():
        raise Failure(
            "There is no terminal to ask on: add --yes, or --dry-run to only look. Nothing was dropped.", EX_USAGE
        )
    click.confirm("Drop this job?" if total == 1 else f"Drop {total} jobs?", abort=True)
