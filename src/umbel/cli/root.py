"""The command ``umbel``, with all that it may be told to do."""

from __future__ import annotations

from typing import Final

import click

from umbel import __version__
from umbel.cli.group import Commands, UmbelGroup
from umbel.cli.invocation import Invocation, app_options

__all__ = ("umbel_command",)

_COMMANDS: Final = (
    "init",
    "up",
    "worker",
    "beat",
    "web",
    "status",
    "top",
    "enqueue",
    "call",
    "cancel",
    "why",
    "jobs",
    "alerts",
    "autoscale",
    "batch",
    "dead",
    "config",
    "key",
    "pause",
    "resume",
    "purge",
    "limits",
    "effects",
    "migrate",
    "release",
    "outbox",
    "doctor",
    "bench",
)
#: Those that share another's module.
_MODULES: Final = {"resume": "pause"}


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"umbel {__version__}")
        context.exit()


@click.group(
    name="umbel",
    cls=UmbelGroup,
    commands=Commands({name: f"umbel.cli.{_MODULES.get(name, name)}" for name in _COMMANDS}),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
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
