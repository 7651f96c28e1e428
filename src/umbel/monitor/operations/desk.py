"""Where everything passes that a person does: whether they may, and what is written down of it.

One entry for each: done, refused, or why it could not be done. What is done begins only while the audit log can be
read; an entry that could not be written afterwards all the same is an error in the log, with all that it says.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from umbel.errors import NotPermitted, StoreError, UmbelError

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor

__all__ = ("Desk", "Entry")

logger = logging.getLogger(__name__)

_TEXT_MOST: Final = 300


class Entry:
    """What is to be written down of one action."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self.detail = detail

    def note(self, **detail: Any) -> None:
        """Add to what is written down; never what an argument of a job says."""
        self.detail.update(detail)


class Desk:
    """One for an application."""

    def __init__(self, app: Umbel) -> None:
        self._app: Final = app

    @contextlib.contextmanager
    def action(self, by: Actor, action: str, target: str, **detail: Any) -> Iterator[Entry]:
        """Do something in the name of ``by``. Raises :exc:`NotPermitted`, and a :exc:`StoreError`."""
        entry = Entry(detail)
        target = target[:_TEXT_MOST]
        if not by.role.may_act:
            self._write(by, action, target, entry, "refused")
            raise NotPermitted(by.name, action)
        self._app.history.audit.find(limit=1)
        try:
            yield entry
        except BaseException as error:
            # Others than ours may say anything, a job's arguments among it.
            reason = str(error) if isinstance(error, UmbelError) else type(error).__name__
            self._write(by, action, target, entry, reason[:_TEXT_MOST])
            raise
        self._write(by, action, target, entry, "done")

    def _write(self, by: Actor, action: str, target: str, entry: Entry, outcome: str) -> None:
        try:
            self._app.history.audit.write(by, action, target, entry.detail, outcome)
        except StoreError as error:
            logger.error(
                "The audit log could not be written (%s): %s by %s via %s on %r, %s, %r",
                error,
                action,
                by.name,
                by.via,
                target,
                outcome,
                entry.detail,
            )
