"""``umbel cancel``: a waiting job never starts, a running one is interrupted."""

from __future__ import annotations

import click

from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.states import JobState

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
    state = invocation.umbel().cancel(job_id)
    if state is JobState.CANCELLED:
        click.echo(f"Job {job_id} is cancelled.")
    else:
        click.echo(f"Job {job_id} is {state}: its worker was told to stop it.")
