"""``umbel cancel``: a waiting job never starts, a running one is interrupted."""

from __future__ import annotations

import click

from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

__all__ = ("cancel",)


@click.command()
@click.argument("job_id", metavar="ID")
@app_options
@pass_invocation
def cancel(invocation: Invocation, job_id: str) -> None:
    """Cancel a job.

    A waiting one never starts, also when no worker is up now; a running one is interrupted.

    Exits 1 when there is no such job, or when it has already ended.
    """
    do, me = operating(invocation.umbel())
    click.echo(do.jobs.cancel(job_id, by=me).text)
