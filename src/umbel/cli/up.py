"""``umbel up``: worker, scheduler and dashboard in one command."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import click

from umbel.cli.family import Child, Family
from umbel.cli.group import EX_FAILED, Failure
from umbel.cli.invocation import Invocation, app_argument, app_options, pass_invocation
from umbel.cli.levels import log_level
from umbel.cli.queues_option import QUEUES
from umbel.cli.reload import watch
from umbel.cli.web import DEFAULT_HOST, DEFAULT_PORT

__all__ = ("up",)


@click.command()
@app_argument
@app_options
@click.option("--processes", type=click.IntRange(1, 1024), metavar="N", help="Worker processes; default: one a core.")
@click.option(
    "-c", "--concurrency", type=click.IntRange(1, 100_000), metavar="N", help="Jobs at a time in each process."
)
@click.option("-Q", "--queues", type=QUEUES, metavar="LIST", help="The queues to consume, as for 'umbel worker'.")
@click.option("--host", default=DEFAULT_HOST, show_default=True, metavar="ADDRESS", help="Where the dashboard listens.")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Its port.")
@log_level
@click.option("--reload", is_flag=True, help="Take up changed *.py files below this folder; for development.")
@pass_invocation
def up(
    invocation: Invocation,
    processes: int | None,
    concurrency: int | None,
    queues: str | None,
    host: str,
    port: int,
    loglevel: str,
    reload: bool,
) -> None:
    """Run worker, scheduler and dashboard in one.

    Ctrl-C ends them all: running jobs get their grace period, a second Ctrl-C ends them at once.
    """
    if os.name != "posix":
        raise Failure("'umbel up' needs Linux or macOS.")
    spec = invocation.resolve()
    given = {"--processes": processes, "--concurrency": concurrency, "--queues": queues}
    options = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    umbel = [sys.executable, "-m", "umbel"]
    common = ["-A", spec, *(["--debug"] if invocation.debug else [])]
    family = Family(
        [
            Child("worker", [*umbel, "worker", *common, "--loglevel", loglevel, *options], reloads=True),
            Child("beat", [*umbel, "beat", *common, "--loglevel", loglevel]),
            Child("web", [*umbel, "web", *common, "--host", host, "--port", str(port)]),
        ],
        patient=reload,
    )
    if reload:
        arguments = (Path.cwd(), family.reload, threading.Event())
        threading.Thread(target=watch, args=arguments, name="reload", daemon=True).start()
    click.echo("Starting worker, scheduler and dashboard; Ctrl-C ends them.", err=True)
    ended = family.run()
    if ended is not None:
        child, code = ended
        raise Failure(
            f"{child.name} ended with code {code}, so the others were ended too.", code if code > 0 else EX_FAILED
        )
    click.echo("Ended cleanly.", err=True)
