"""``umbel why``: where a job is and why it does not run, or how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from umbel.cli.console import print_json
from umbel.cli.group import EX_FAILED
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.reasons import Facts, explain
from umbel.errors import JobNotFound

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("why",)


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def why(invocation: Invocation, job_id: str, as_json: bool) -> None:
    """Say why a job does not run, or how it ended.

    Exits 1 when nothing is known of it.
    """
    reason = explain(_facts(invocation.umbel(), job_id))
    if as_json:
        print_json({"id": job_id, "reason": reason.code, "text": reason.text, "notes": reason.notes, **reason.fields})
    else:
        for line in (reason.text, *reason.notes):
            click.echo(line)
    if reason.code == "unknown":
        raise click.exceptions.Exit(EX_FAILED)


def _facts(app: Umbel, job_id: str) -> Facts:
    engine = app.engine
    try:
        status = app.status(job_id)
    except JobNotFound:
        status = None
    letters = engine.letters.read([job_id])
    return Facts(
        job_id=job_id,
        status=status,
        location=engine.locate(job_id),
        queues={queue.name: queue for queue in engine.queues()},
        workers=engine.workers(),
        letter=letters[0] if letters else None,
    )
