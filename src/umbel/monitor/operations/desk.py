"""Where everything passes that a person does: whether they may, and what is written down of it.

One entry for each: done, refused, or why it could not be done. What is done begins only while the audit log can be
read; an entry that could not be written afterwards all the same is an error in the log, with all that it says.

Whoever is at the command line can reach the stores anyway, and may be there because a database is away. So a desk with
``without_log`` acts all the same while there is no audit log, and says that once. Where no history is kept SQLAlchemy
is not even imported.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from umbel.errors import NotPermitted, StoreError, UmbelError
from umbel.settings import data_directory

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.audit import AuditLog

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

    def __init__(self, app: Umbel, without_log: Callable[[str], object] | None = None) -> None:
        """``without_log`` hears, once, why no entry is written: then things are done without. Else they are not."""
        self._app: Final = app
        self._without_log: Final = without_log
        self._is_told = False

    @contextlib.contextmanager
    def action(self, by: Actor, action: str, target: str, **detail: Any) -> Iterator[Entry]:
        """Do something in the name of ``by``. Raises :exc:`NotPermitted`, and a :exc:`StoreError`."""
        entry = Entry(detail)
        target = target[:_TEXT_MOST]
        if not by.role.may_act:
            self._write(lambda: self._app.history.audit, by, action, target, entry, "refused")
            raise NotPermitted(by.name, action)
        log = self._log()
        try:
            yield entry
        except BaseException as error:
            # Others than ours may say anything, a job's arguments among it.
            reason = str(error) if isinstance(error, UmbelError) else type(error).__name__
            self._write(lambda: log, by, action, target, entry, reason[:_TEXT_MOST])
            raise
        self._write(lambda: log, by, action, target, entry, "done")

    def _log(self) -> AuditLog | None:
        """Return the audit log, which can be read now; None where things are done without."""
        if self._without_log is None:
            return self._opened()
        if self._is_told:
            return None
        if not _is_kept(self._app.settings):
            self._do_without("UMBEL_HISTORY is off.")
            return None
        try:
            return self._opened()
        except Exception as error:
            # Whatever it is, it is not what this person has come for.
            self._do_without(str(error) or type(error).__name__)
            return None

    def _opened(self) -> AuditLog:
        audit = self._app.history.audit
        audit.find(limit=1)
        return audit

    def _do_without(self, reason: str) -> None:
        if self._without_log is not None and not self._is_told:
            self._is_told = True
            self._without_log(reason)

    def _write(
        self, log: Callable[[], AuditLog | None], by: Actor, action: str, target: str, entry: Entry, outcome: str
    ) -> None:
        try:
            found = log()
            if found is not None:
                found.write(by, action, target, entry.detail, outcome)
        except StoreError as error:
            if self._without_log is not None:
                self._do_without(str(error))
                return
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


def _is_kept(settings: Any) -> bool:
    """Whether there is a history, or is to be one."""
    return bool(settings.history or settings.history_url) or (data_directory(settings) / "history.db").exists()
