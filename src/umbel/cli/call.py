"""``umbel call``: run a job here and now, without broker or worker."""

from __future__ import annotations

import click

from umbel.cli.arguments import JobCommand, find_task, keywords, values
from umbel.cli.console import print_json
from umbel.cli.group import Failure
from umbel.cli.importing import summary
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.errors import UmbelError

__all__ = ("call",)


@click.command(cls=JobCommand)
@click.argument("task")
@click.argument("args", nargs=-1)
@click.option("-k", "--kwarg", multiple=True, metavar="NAME=VALUE", help="A keyword argument; may be repeated.")
@app_options
@pass_invocation
def call(invocation: Invocation, task: str, args: tuple[str, ...], kwarg: tuple[str, ...]) -> None:
    """Run a job here and now, and print its result.

    TASK runs with ARGS in this process, and nothing is enqueued: prints and breakpoints work as in any program.
    The result is printed as JSON. ARGS are read as by 'umbel enqueue'.
    """
    chosen = find_task(invocation.app(), task)
    named = keywords(kwarg)
    try:
        result = chosen.apply(values(args), named, throw=True).get(propagate=True)
    except UmbelError:
        raise
    except Exception as error:
        raise Failure(f"{chosen.name} failed: {summary(error)}. --debug shows the traceback.") from error
    print_json(result)
