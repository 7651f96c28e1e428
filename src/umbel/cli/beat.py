"""``umbel beat``: the scheduler, safe to run any number of times."""

from __future__ import annotations

from pathlib import Path

import click

from umbel.cli import lifeline
from umbel.cli.files import check_writable
from umbel.cli.invocation import Invocation, app_argument, app_options, pass_invocation
from umbel.cli.levels import log_level

__all__ = ("beat",)


@click.command()
@app_argument
@app_options
@log_level
@click.option(
    "--max-interval", type=click.IntRange(1, 3600), metavar="SECONDS", help="Look at the schedule at least this often."
)
@click.option("--pidfile", type=click.Path(dir_okay=False, path_type=Path), help="Write the process id here.")
@click.option("--logfile", type=click.Path(dir_okay=False, path_type=Path), help="Log into this file, not to stderr.")
@pass_invocation
def beat(
    invocation: Invocation, loglevel: str, max_interval: int | None, pidfile: Path | None, logfile: Path | None
) -> None:
    """Run the scheduler.

    It enqueues what beat_schedule says, when it is due. Any number may run at
    a time: one leads, another one takes over when it dies.
    """
    from umbel.app import Umbel
    from umbel.engine import console
    from umbel.engine.registry import is_embedded

    check_writable(logfile, "--logfile")
    check_writable(pidfile, "--pidfile")
    lifeline.hold()
    app = invocation.app()
    if isinstance(app, Umbel) and is_embedded(app.conf.broker_url):
        app.engine.check()
    count = len(app.conf.beat_schedule)
    click.echo(f"Scheduler of {app.main or invocation.spec}: {count} {'entry' if count == 1 else 'entries'}.", err=True)
    console.install()
    app.conf.worker_log_format = console.FORMAT
    app.Beat(
        loglevel=loglevel,
        max_interval=max_interval,
        pidfile=str(pidfile) if pidfile else None,
        logfile=str(logfile) if logfile else None,
        quiet=True,
    ).run()
