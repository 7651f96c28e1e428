"""The command line: ``umbel`` and, through Celery's plug-ins, ``celery umbel``.

Importing this imports click and nothing heavier: each command imports Celery, rich or FastAPI when it runs.
"""

from __future__ import annotations

import click

from umbel import __version__
from umbel.cli.alerts import alerts
from umbel.cli.autoscale import autoscale
from umbel.cli.batch import batch
from umbel.cli.beat import beat
from umbel.cli.bench import bench
from umbel.cli.call import call
from umbel.cli.cancel import cancel
from umbel.cli.config import config
from umbel.cli.dead import dead
from umbel.cli.doctor import doctor
from umbel.cli.effects import effects
from umbel.cli.enqueue import enqueue
from umbel.cli.group import UmbelGroup
from umbel.cli.init import init
from umbel.cli.invocation import Invocation, app_options
from umbel.cli.jobs import jobs
from umbel.cli.key import key
from umbel.cli.limits import limits
from umbel.cli.migrate import migrate
from umbel.cli.outbox import outbox
from umbel.cli.pause import pause, resume
from umbel.cli.purge import purge
from umbel.cli.release import release
from umbel.cli.status import status
from umbel.cli.top import top
from umbel.cli.up import up
from umbel.cli.web import web
from umbel.cli.why import why
from umbel.cli.worker import worker

__all__ = ("main", "umbel_command")


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"umbel {__version__}")
        context.exit()


@click.group(
    name="umbel", cls=UmbelGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@app_options
@click.pass_context
def umbel_command(context: click.Context) -> None:
    """Background jobs for Python web applications, on Celery.

    Start with 'umbel init' in an empty folder, then 'umbel up'.
    """
    if context.find_object(Invocation) is None:
        context.obj = Invocation.of_celery(context.parent) if context.parent else Invocation()


for _command in (
    init,
    up,
    worker,
    beat,
    web,
    status,
    top,
    enqueue,
    call,
    cancel,
    why,
    jobs,
    alerts,
    autoscale,
    batch,
    dead,
    config,
    key,
    pause,
    resume,
    purge,
    limits,
    effects,
    migrate,
    release,
    outbox,
    doctor,
    bench,
):
    umbel_command.add_command(_command)


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    umbel_command(prog_name="umbel")
