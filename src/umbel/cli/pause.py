"""``umbel pause`` and ``umbel resume``: let the jobs of queues wait, and start again."""

from __future__ import annotations

import click

from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

__all__ = ("pause", "resume")


@click.command()
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")
@app_options
@pass_invocation
def pause(invocation: Invocation, queues: tuple[str, ...]) -> None:
    """Let the jobs of QUEUEs wait.

    No worker on any host takes one until 'umbel resume', whatever is restarted meanwhile. Running ones go on.
    """
    do, me = operating(invocation.umbel())
    click.echo(f"{do.queues.pause(*queues, by=me).text} 'umbel resume {' '.join(queues)}' does that.")


@click.command()
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")
@app_options
@pass_invocation
def resume(invocation: Invocation, queues: tuple[str, ...]) -> None:
    """Let the jobs of paused QUEUEs start again."""
    do, me = operating(invocation.umbel())
    click.echo(do.queues.resume(*queues, by=me).text)
