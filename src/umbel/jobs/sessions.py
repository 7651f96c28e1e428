"""Sessions on the application's own database, one an execution, in jobs and elsewhere.

    with jobs.session() as session:          # SQLAlchemy's Session: you commit
        session.add(row)
        session.commit()

    with jobs.session.begin() as session:    # committed at the end of the block
        session.add(row)

``jobs.async_session`` is the same for ``async with``. Whatever leaves the block (an exception, a retry, a soft limit, a
cancel), what is not committed is rolled back, and the connection goes back to its pool. Within a block, in
the same job and the same thread or asyncio task, an inner block gets the same session and leaves its end to the outer
one; ``gather``'s children get sessions of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from umbel.engine.job import Cancelled
from umbel.jobs.databases import Databases

__all__ = ("AsyncSessions", "Sessions")


@dataclass(frozen=True, slots=True)
class _Open:
    """A block's session, and in which thread or asyncio task that block is."""

    session: Any
    owner: tuple[int, object]


_SYNC: Final[ContextVar[_Open | None]] = ContextVar("umbel_session", default=None)
_ASYNC: Final[ContextVar[_Open | None]] = ContextVar("umbel_async_session", default=None)


class Sessions:
    """``jobs.session``. ``databases`` returns the engines of this process."""

    def __init__(self, databases: Callable[[], Databases]) -> None:
        self._databases = databases

    def __call__(self, **options: Any) -> contextlib.AbstractContextManager[Session]:
        """Return a block with a session; what it has not committed is rolled back at its end.

        ``options`` are those of SQLAlchemy's ``Session``. Raises :exc:`ConfigurationError` without a database.
        """
        return self._block(commit=False, options=options)

    def begin(self, **options: Any) -> contextlib.AbstractContextManager[Session]:
        """Return a block with a session that is committed at its end, unless an exception leaves it."""
        return self._block(commit=True, options=options)

    @contextlib.contextmanager
    def _block(self, *, commit: bool, options: dict[str, Any]) -> Iterator[Session]:
        owner = _here()
        outer = _SYNC.get()
        if outer is not None and outer.owner == owner:
            yield outer.session
            return
        session = Session(self._databases().engine(), **options)
        _SYNC.set(_Open(session, owner))
        try:
            yield session
            if commit:
                session.commit()
        finally:
            # Not by a token: a web framework may leave the block in another context than it entered it in.
            _SYNC.set(outer)
            _close(session)


def _here() -> tuple[int, object]:
    try:
        task: object = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), task


def _close(session: Session) -> None:
    try:
        session.close()
    except (Cancelled, SoftTimeLimitExceeded):
        # It hit the closing itself: the connection is given up, since nobody knows how far that came.
        with contextlib.suppress(SQLAlchemyError):
            session.invalidate()
        raise


class AsyncSessions:
    """``jobs.async_session``. ``databases`` returns the engines of this process."""

    def __init__(self, databases: Callable[[], Databases]) -> None:
        self._databases = databases

    def __call__(self, **options: Any) -> contextlib.AbstractAsyncContextManager[AsyncSession]:
        """Return a block with a session; what it has not committed is rolled back at its end.

        ``options`` are those of SQLAlchemy's ``AsyncSession``; what is read stays readable after a commit unless
        ``expire_on_commit`` says otherwise. Raises :exc:`ConfigurationError` without a database.
        """
        return self._block(commit=False, options=options)

    def begin(self, **options: Any) -> contextlib.AbstractAsyncContextManager[AsyncSession]:
        """Return a block with a session that is committed at its end, unless an exception leaves it."""
        return self._block(commit=True, options=options)

    @contextlib.asynccontextmanager
    async def _block(self, *, commit: bool, options: dict[str, Any]) -> AsyncIterator[AsyncSession]:
        owner = _here()
        outer = _ASYNC.get()
        if outer is not None and outer.owner == owner:
            yield outer.session
            return
        # Its own end is not broken off by a second cancel.
        async with AsyncSession(self._databases().async_engine(), **{"expire_on_commit": False, **options}) as session:
            _ASYNC.set(_Open(session, owner))
            try:
                yield session
                if commit:
                    await session.commit()
            finally:
                _ASYNC.set(outer)
