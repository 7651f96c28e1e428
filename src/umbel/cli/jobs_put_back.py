"""``umbel jobs put-back``: queue a job again that is lost."""

from __future__ import annotations

import click

from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

__all__ = ("put_back",)


@click.command(name="put-back")
@click.argument("task_id", metavar="ID")
@app_options
@pass_invocation
def put_back(invocation: Invocation, task_id: str) -> None:
    """Queue a job again that is lost, with its own message.

    A job is lost when the history says that it waits or runs and nothing else has known of it for a minute. However
    often this is run, it is queued once.
    """
    do, me = operating(invocation.umbel())
    click.echo(do.jobs.put_back(task_id, by=me).text)
