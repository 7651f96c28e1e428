"""``umbel pause`` and ``umbel resume``: let the jobs of queues wait, and start again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from umbel.cli.group import EX_USAGE, Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("pause", "resume")


@click.command()
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")
@app_options
@pass_invocation
def pause(invocation: Invocation, queues: tuple[str, ...]) -> None:
    """Let the jobs of QUEUEs wait.

    No worker on any host takes one until 'umbel resume', whatever is restarted meanwhile. Running ones go on.
    """
    engine = _known(invocation.umbel(), queues).engine
    for name in queues:
        engine.pause(name)
        click.echo(f"{name!r} is paused: its jobs wait until 'umbel resume {name}'.")


@click.command()
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")
@app_options
@pass_invocation
def resume(invocation: Invocation, queues: tuple[str, ...]) -> None:
    """Let the jobs of paused QUEUEs start again."""
    engine = _known(invocation.umbel(), queues).engine
    for name in queues:
        engine.resume(name)
        click.echo(f"{name!r} is not paused: its jobs start as soon as a slot is free.")


def _known(app: Umbel, names: tuple[str, ...]) -> Umbel:
    """Return the application if it has all these queues, in its store or its declarations."""
    known = {queue.name for queue in app.engine.queues()} | set(app.amqp.queues)
    unknown = sorted(set(names) - known)
    if unknown:
        has = ", ".join(sorted(known))
        raise Failure(
            f"There is no queue {', '.join(map(repr, unknown))}; there are: {has}. Nothing was changed.", EX_USAGE
        )
    return app
