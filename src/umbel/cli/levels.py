"""The ``--loglevel`` option that the long-running commands share."""

from __future__ import annotations

from typing import Final

import click

__all__ = ("LEVELS", "log_level")

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

log_level = click.option(
    "-l",
    "--loglevel",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    metavar="LEVEL",
    help="How much to log: debug, info, warning, error or critical.",
)
