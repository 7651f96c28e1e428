"""``umbel why``: where a job is and why it does not run, or how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from umbel.cli.console import print_json, say
from umbel.cli.group import EX_FAILED
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.job_live import print_live

if TYPE_CHECKING:
    from umbel.monitor.whereabouts import Whereabouts

__all__ = ("why",)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def why(invocation: Invocation, job_id: str, as_json: bool) -> None:
    """Say where a job is and why it does not run, or how it ended.

    Of one that runs, also where it stands in its code just now. Exits 1 when nothing is known of it.
    """
    found = invocation.umbel().where.find(job_id)
    if as_json:
        print_json({**found.as_dict(), "reason": found.code})
    else:
        _print(found)
    if found.code == "unknown":
        raise click.exceptions.Exit(EX_FAILED)


def _print(found: Whereabouts) -> None:
    for line in (found.text, *found.notes):
        say(line)
    if found.live is not None:
        print_live(found.live)
