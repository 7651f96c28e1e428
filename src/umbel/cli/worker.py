"""``umbel worker``: a supervisor and its worker processes."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from umbel.cli import lifeline
from umbel.cli.console import remark
from umbel.cli.duration import DURATION
from umbel.cli.files import check_writable
from umbel.cli.group import Failure
from umbel.cli.invocation import Invocation, app_argument, app_options, pass_invocation
from umbel.cli.levels import log_level
from umbel.cli.queues_option import QUEUES
from umbel.cli.reload import watch

__all__ = ("worker",)

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@app_argument
@app_options
@click.option("--processes", type=click.IntRange(1, 1024), metavar="N", help="Worker processes; default: one a core.")
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Jobs at a time in each process, whatever the pool; default: 10.",
)
@click.option(
    "-Q",
    "--queues",
    type=QUEUES,
    metavar="LIST",
    help="The queues to consume: high,default (in that order) or high:4,default:1 (by weight); default: all declared.",
)
@click.option(
    "-P",
    "--pool",
    type=click.Choice(("default", "prefork", "threads", "solo")),
    help="How a process runs its jobs; default: an event loop and threads.",
)
@click.option(
    "-n", "--hostname", metavar="NAME", help="The node's name, as in 'mail@%h'; each process adds its number."
)
@log_level
@click.option("-E", "--task-events", is_flag=True, help="Send task events, for Flower and 'celery events'.")
@click.option("-B", "--beat", is_flag=True, help="Run the scheduler too.")
@click.option("--max-tasks-per-child", type=click.IntRange(1), metavar="N", help="Replace a process after N jobs.")
@click.option(
    "--max-memory-per-child", type=click.IntRange(1), metavar="KIB", help="Replace a process that holds more memory."
)
@click.option("--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Hard limit of a job.")
@click.option(
    "--soft-time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Soft limit of a job."
)
@click.option("--grace", type=DURATION, metavar="DURATION", help="How long running jobs may go on after SIGTERM.")
@click.option("--pidfile", type=_FILE, help="Write the supervisor's process id here.")
@click.option("--logfile", type=_FILE, help="Log into this file, not to stderr.")
@click.option("--reload", is_flag=True, help="Take up changed *.py files below this folder; for development.")
@pass_invocation
def worker(invocation: Invocation, /, reload: bool, **options: Any) -> None:
    """Run jobs.

    A supervisor starts the worker processes, replaces those that die, and never imports the application itself.
    SIGTERM or Ctrl-C ends gracefully, a second one at once; SIGHUP reloads.
    """
    _check(options)
    check_writable(options["logfile"], "--logfile")
    check_writable(options["pidfile"], "--pidfile")
    lifeline.hold()
    spec = invocation.resolve()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        remark("Running as root: a user of its own is safer.")
    if reload:
        _reload_on_change()
    raise click.exceptions.Exit(_run(spec, options))


def _check(options: dict[str, Any]) -> None:
    soft, hard = options["soft_time_limit"], options["time_limit"]
    if soft and hard and soft >= hard:
        raise click.BadParameter(f"{soft:g} is not below the hard limit {hard:g}.", param_hint="'--soft-time-limit'")


def _run(spec: str, options: dict[str, Any]) -> int:
    from umbel.engine.supervisor import SupervisorOptions, run
    from umbel.jobs.outbox_companion import RelayCompanion
    from umbel.monitor.companion import RecorderCompanion

    if options["grace"] is not None:
        options["grace"] = timedelta(seconds=options["grace"])
    return run(SupervisorOptions(app=spec, **options), RelayCompanion(), RecorderCompanion(options["loglevel"]))


def _reload_on_change() -> None:
    if not hasattr(signal, "SIGHUP"):
        raise Failure("--reload needs SIGHUP, which this platform lacks.")
    # The supervisor reloads on SIGHUP: its processes drain, and start again with the new code.
    arguments = (Path.cwd(), lambda: os.kill(os.getpid(), signal.SIGHUP), threading.Event())
    threading.Thread(target=watch, args=arguments, name="reload", daemon=True).start()
