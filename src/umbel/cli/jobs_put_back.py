"""``umbel jobs put-back``: queue a job again that is lost."""

from __future__ import annotations

import click

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
    from umbel.monitor.actors import cli_actor

    click.echo(invocation.umbel().operations.jobs.put_back(task_id, by=cli_actor()).text)
