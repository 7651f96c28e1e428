"""What an application offers for its databases: transactional dispatch, sessions, the history of its jobs, operations.

SQLAlchemy is imported when something of this is used, and not before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery import signals

from umbel.errors import ConfigurationError
from umbel.settings import data_directory

if TYPE_CHECKING:
    from umbel.jobs.databases import Databases
    from umbel.jobs.outbox import AnySession, InTransaction, Outbox
    from umbel.jobs.sessions import AsyncSessions, Sessions
    from umbel.monitor.history import History
    from umbel.monitor.operations import Operations

__all__ = ("WithDatabase", "extra")


class WithDatabase:
    """A part of :class:`umbel.Umbel`."""

    #: How many jobs run at a time in this process, where it is a worker.
    slots: int | None = None

    def in_transaction(self, session: AnySession) -> InTransaction:
        """Return a block whose dispatches are queued if and only if the transaction of ``session`` commits.

            with Session(engine) as session, session.begin(), jobs.in_transaction(session):
                session.add(order)
                confirm.delay(order.id)

        ``session``: SQLAlchemy's ``Session`` or ``AsyncSession``. See :mod:`umbel.jobs.outbox`.
        Raises :exc:`ConfigurationError` where it could not keep its promise.
        """
        return self._outbox.in_transaction(session)

    @cached_property
    def _outbox(self) -> Outbox:
        with extra("jobs.in_transaction()"):
            from umbel.jobs.outbox import Outbox
        app: Any = self
        return Outbox(app)

    @cached_property
    def session(self) -> Sessions:
        """Blocks with a session on ``UMBEL_DATABASE_URL``: ``jobs.session()``. See :mod:`umbel.jobs.sessions`."""
        with extra("jobs.session()"):
            from umbel.jobs.sessions import Sessions
        return Sessions(lambda: self._databases)

    @cached_property
    def async_session(self) -> AsyncSessions:
        """The same with an async session: ``async with jobs.async_session()``."""
        with extra("jobs.async_session()"):
            from umbel.jobs.sessions import AsyncSessions
        return AsyncSessions(lambda: self._databases)

    @cached_property
    def _databases(self) -> Databases:
        from umbel.jobs.databases import Databases

        app: Any = self
        databases = Databases(app.settings.database_url, self.slots or app.settings.concurrency)
        for signal in (signals.worker_shutdown, signals.worker_process_shutdown):
            signal.connect(lambda **_: databases.dispose(), weak=False)
        return databases

    @cached_property
    def history(self) -> History:
        """The history of this application's jobs, at ``UMBEL_HISTORY_URL``. See :mod:`umbel.monitor.history`."""
        with extra("jobs.history"):
            from umbel.monitor.history import History
        app: Any = self
        return History(app.settings.history_url, data_directory(app.settings))

    @cached_property
    def operations(self) -> Operations:
        """What a person may do to all of this, audited. See :mod:`umbel.monitor.operations`."""
        with extra("jobs.operations"):
            from umbel.monitor.operations import Operations
        app: Any = self
        return Operations(app)

    def close_databases(self) -> None:
        """Close the connections of ``session``, ``async_session`` and ``history`` that nobody uses."""
        if "_databases" in self.__dict__:
            self._databases.dispose()
        if "history" in self.__dict__:
            self.history.close()


@contextlib.contextmanager
def extra(what: str) -> Iterator[None]:
    """Let a missing SQLAlchemy be a :exc:`ConfigurationError` of ``what`` needs it."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(f"{what} needs SQLAlchemy: pip install 'umbel[sqlalchemy]'.") from error
