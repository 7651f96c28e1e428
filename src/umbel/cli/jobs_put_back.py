"""``umbel jobs put-back``: queue a job again that is lost."""

from __future__ import annotations

import click

from umbel.cli.group import Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation

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
    done = invocation.umbel().where.put_back(task_id)
    if not done.queued:
        raise Failure(f"It was not put back. {' '.join((done.now.text, *done.now.notes))}")
    click.echo(f"It was put back. {done.now.text}")
