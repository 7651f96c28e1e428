"""What commands do, in the name of whoever runs them: through ``jobs.operations``, as the pages and the API do.

Each leaves an entry in the audit log. Where there is none (``UMBEL_HISTORY=0``, no SQLAlchemy, its database away) they
act all the same, and say so on stderr, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from umbel.cli.console import remark

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations import Operations

__all__ = ("operating",)


def operating(app: Umbel, say: Callable[[str], object] = remark) -> tuple[Operations, Actor]:
    """Return what may be done with ``app``, and who does it; ``say`` hears that no entry is written."""
    from umbel.monitor.actors import cli_actor
    from umbel.monitor.operations import Operations

    def without_log(reason: str) -> None:
        say(f"No entry was written into the audit log: {reason}")

    return Operations(app, without_log=without_log), cli_actor()
