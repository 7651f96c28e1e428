"""The steps of the history's schema, run by Alembic without its command line or its files of configuration.

``HEAD`` is the last of them. A step that has been released is never changed; ``umbel.monitor.schema`` runs them.
"""

from __future__ import annotations

from typing import Final

__all__ = ("HEAD",)

HEAD: Final = "0009"
