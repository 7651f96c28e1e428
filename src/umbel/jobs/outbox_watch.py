"""What becomes of a session's transaction in which jobs were dispatched: one watch a session, as long as that lives."""

from __future__ import annotations

import logging
import sys
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from umbel.errors import DispatchError
from umbel.jobs.outbox_letter import Letter
from umbel.jobs.outbox_prompt import Prompt

__all__ = ("Watch", "commits_each_statement", "watch_over")

logger = logging.getLogger(__name__)


class Watch:
    """Hears of commit and rollback, and knows which rows were written."""

    def __init__(self, session: Session, prompt: Prompt) -> None:
        self._prompt = prompt
        self._ids: list[int] = []
        #: Something was dispatched in a transaction that has neither been committed nor rolled back.
        self._open = False
        event.listen(session, "after_commit", self._committed)
        event.listen(session, "after_rollback", self._rolled_back)
        event.listen(session, "after_transaction_end", self._ended)

    def add(self, session: Session, letter: Letter) -> None:
        """Let ``session`` write ``letter`` with its next flush, in whichever transaction or savepoint is open now."""
        session.add(letter)
        self._open = True

    def written(self, letter: Letter) -> None:
        """Note a row that was written; whether it stays is the transaction's business."""
        self._ids.append(letter.id)

    def _committed(self, session: Session) -> None:
        if session.in_nested_transaction():
            # A savepoint was released.
            return
        ids, self._ids, self._open = self._ids, [], False
        if not ids:
            return
        try:
            self._prompt.publish(engine_for(session), ids)
        except Exception:
            # The transaction is committed, and its rows wait for the relay: no error may say otherwise.
            logger.exception("Committed jobs wait in the outbox for the relay of a worker.")

    def _rolled_back(self, session: Session) -> None:
        if not session.in_nested_transaction():
            self._ids, self._open = [], False

    def _ended(self, session: Session, transaction: Any) -> None:
        if transaction.parent is not None or not self._open:
            return
        self._ids, self._open = [], False
        if sys.exc_info()[0] is None:
            logger.warning(
                "A session was closed without commit or rollback: the jobs dispatched in its transaction were given up "
                "with it. Call commit(), or use 'with session.begin():'."
            )


def watch_over(session: Session, app: Any, prompt: Prompt) -> Watch:
    """Return the watch of ``session`` for the jobs of ``app``."""
    found: Watch | None = session.info.get(("umbel.outbox", app))
    if found is None:
        found = session.info["umbel.outbox", app] = Watch(session, prompt)
    return found


def engine_for(session: Session) -> Any:
    """Return the engine of the database in which ``session`` writes the outbox."""
    bind = session.get_bind(mapper=Letter)
    return bind.engine


@event.listens_for(Letter, "before_insert")
def _before_insert(mapper: Any, connection: Connection, letter: Letter) -> None:
    if commits_each_statement(connection):
        raise DispatchError(
            "This session's engine commits each statement by itself (isolation_level AUTOCOMMIT), so there is no "
            "transaction to dispatch in: give the session an engine with transactions. Nothing was queued."
        )


@event.listens_for(Letter, "after_insert")
def _after_insert(mapper: Any, connection: Connection, letter: Letter) -> None:
    letter.watch.written(letter)


def commits_each_statement(connection: Connection) -> bool:
    pooled = connection.connection
    raw: Any = pooled.dbapi_connection
    driver: Any = pooled.driver_connection
    if connection.dialect.name == "sqlite":
        # Whoever sends BEGIN through events has sent it by now.
        alone = getattr(raw, "isolation_level", "") is None or getattr(driver, "autocommit", None) is True
        return alone and not driver.in_transaction
    return connection.dialect.detect_autocommit_setting(raw)
