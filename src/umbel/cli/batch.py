"""``umbel batch``: jobs that are counted together, to look at and to cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from umbel.cli.console import ago, print_json, print_table, remark, say
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

if TYPE_CHECKING:
    from umbel.jobs.batch_status import BatchStatus

__all__ = ("batch",)


@click.group()
def batch() -> None:
    """Look at batches, and cancel them.

    A batch is any number of jobs that are counted together, with callbacks for their end.
    """


@batch.command(name="list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def list_batches(invocation: Invocation, limit: int, as_json: bool) -> None:
    """List batches, the newest first."""
    found = invocation.umbel().find_batches(limit)
    if as_json:
        print_json([one.as_dict() for one in found])
        return
    columns = ("batch", "name", "opened", "state", "done", "failed", "cancelled", "pending", "total")
    print_table("Batches", columns, [_row(one) for one in found])
    if len(found) == limit:
        remark(f"There may be more: --limit {min(limit * 5, 1000)}")


def _row(one: BatchStatus) -> tuple[object, ...]:
    counts = (one.done, one.failed, one.cancelled, one.pending, one.total)
    return (one.id, one.name, ago(one.created), one.state.value, *counts)


@batch.command()
@click.argument("batch_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def show(invocation: Invocation, batch_id: str, as_json: bool) -> None:
    """Show how far a batch is.

    Exits 1 when there is no such batch.
    """
    found = invocation.umbel().batch_status(batch_id)
    if as_json:
        print_json(found.as_dict())
        return
    more = "" if found.closed else " so far: more are to come"
    say(f"{found.name}: {found.state}, opened {ago(found.created)}, last heard of {ago(found.updated)}.")
    click.echo(
        f"{found.done} done, {found.failed} failed, {found.cancelled} cancelled, {found.pending} pending, "
        f"{found.total} in all{more}; allowed to fail: {found.allow_failures}."
    )


@batch.command()
@click.argument("batch_id", metavar="ID")
@app_options
@pass_invocation
def cancel(invocation: Invocation, batch_id: str) -> None:
    """Cancel a batch.

    Waiting members never start, running ones are stopped.

    Exits 1 when there is no such batch, or when it is over.
    """
    do, me = operating(invocation.umbel())
    click.echo(do.batches.cancel(batch_id, by=me).text)
