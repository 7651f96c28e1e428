"""``umbel autoscale``: how many replicas of the workers would do, for a script that starts and ends them."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from umbel.cli.console import print_json
from umbel.cli.duration import DURATION
from umbel.cli.invocation import Invocation, app_options, pass_invocation

__all__ = ("autoscale",)

_REPLICAS = click.IntRange(0, 10_000)


@click.command()
@click.option(
    "-Q", "--queue", "queues", multiple=True, metavar="NAME", help="What these workers consume; default: all queues."
)
@click.option("--min", "least", type=_REPLICAS, help="The fewest; default: UMBEL_AUTOSCALE_MIN.")
@click.option("--max", "most", type=_REPLICAS, help="The most; default: UMBEL_AUTOSCALE_MAX.")
@click.option("--drain", type=DURATION, metavar="DURATION", help="In what time what waits is to have begun.")
@click.option("--hold", type=DURATION, metavar="DURATION", help="The busiest minute of so long counts.")
@click.option("--slots", type=click.IntRange(1, 100_000), help="Of one replica; default: as those that live have.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with what it follows from.")
@app_options
@pass_invocation
def autoscale(invocation: Invocation, /, queues: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Print how many replicas of the workers would do.

    The same number is told over HTTP by /autoscale beside the dashboard.
    """
    from umbel.monitor.metrics.scaling import Scaling

    scaling = Scaling(invocation.umbel())
    found = scaling.ask(queues or None, scaling.bounds.but(**given))
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        click.echo(str(found.replicas))
