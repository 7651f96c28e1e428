"""Showing something again and again, until Ctrl-C: on a screen that is cleared, or one after the other in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from umbel.cli.console import is_terminal

__all__ = ("repeat",)


def repeat(show: Callable[[], None], seconds: float) -> None:
    """Call ``show``, which prints, every ``seconds``. Ends when it raises, or when whoever reads this has gone."""
    while True:
        if is_terminal():
            click.clear()
        show()
        sys.stdout.flush()
        time.sleep(seconds)
