"""A worker process: ``python -m umbel.cli.child '{"app": …}'``, started by the supervisor only."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

__all__ = ("load_for_console",)


def load_for_console(spec: str) -> Celery:
    """Import the application. Raises :class:`~umbel.errors.UmbelError`."""
    from celery.exceptions import SecurityWarning

    from umbel.cli.find_app import load

    # 'umbel worker' says it itself, once and in one line.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = load(spec)
    gc.freeze()
    gc.enable()
    return app


if __name__ == "__main__":
    # What is imported stays: looking for garbage among it is a tenth of a start.
    gc.disable()
    from umbel.cli.child import load_for_console as load
    from umbel.engine.child import main

    code = main(sys.argv[1], load)
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that could not be stopped must not keep the process.
    os._exit(code)
