"""One effect by its key, in one transaction with the key: both are committed, or neither is (C32).

    with jobs.session.begin() as session, jobs.idempotent(f"invoice:{order}", session=session) as effect:
        if not effect.done:
            session.add(Invoice(order=order))
            effect.result = "written"

The key's row is written first, so that of two transactions with one key the second waits for the first, and then finds
its result. Nothing is ever uncertain: a process that dies leaves no row. Costs two statements, and no round trip to the
state store.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from sqlalchemy import delete, event, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from umbel.engine.protection import Protection
from umbel.errors import ConfigurationError
from umbel.jobs.database_effects_table import EFFECTS
from umbel.jobs.effect_results import decoded, encoded
from umbel.jobs.outbox_table import database_time
from umbel.jobs.outbox_watch import commits_each_statement

if TYPE_CHECKING:
    from umbel.jobs.outbox import AnySession

__all__ = ("InSession",)

R = TypeVar("R")

_INSERTS: Final[dict[str, Callable[..., Any]]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_E: Final = EFFECTS.c
#: One transaction in so many drops what has expired, so much at the most.
_SWEEPS: Final = 100
_SWEEP_ROWS: Final = 1000


class InSession:
    """One effect in the transaction of a session, for ``with``, and with an async session for ``async with``.

    ``key``, ``done`` and ``result`` are as those of :class:`umbel.jobs.effects.Effect`. What the block has written is
    rolled back with the key when an exception leaves it; the commit is left to whoever has begun the transaction.
    """

    def __init__(self, session: AnySession, app: str, name: str, seconds: float, protection: Protection) -> None:
        self.name: Final = name
        self.key: Final = name.partition(":")[2]
        self.result: Any = None
        self._given: Final = _unscoped(session)
        self._session: Final[Session] = (
            self._given.sync_session if isinstance(self._given, AsyncSession) else self._given
        )
        self._mine: Final = (_E.app == app) & (_E.name == name)
        self._values: Final = {"app": app, "name": name}
        self._seconds: Final = seconds
        self._protection: Final = protection
        self._savepoint: Any = None
        self._done = self._looked = False

    @property
    def done(self) -> bool:
        """Whether the effect is there already, with its ``result``: then it is not to be caused again."""
        self._looked = True
        return self._done

    def complete(self, result: Any = None) -> None:
        """Leave ``result`` for those that come later."""
        if not self._done:
            self.result = result
            self._looked = True

    async def acomplete(self, result: Any = None) -> None:
        """The same, as other effects have it."""
        self.complete(result)

    def __enter__(self) -> Self:
        """Raises SQLAlchemy's errors, and :exc:`ConfigurationError` where nothing could be kept together."""
        if isinstance(self._given, AsyncSession):
            raise ConfigurationError("An effect in an async session is a block for 'async with'.")
        self._claim()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Self:
        """Raises SQLAlchemy's errors, and :exc:`ConfigurationError` where nothing could be kept together."""
        if not isinstance(self._given, AsyncSession):
            raise ConfigurationError("An effect in a plain session is a block for 'with'.")
        await self._given.run_sync(lambda _: self._claim())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert isinstance(self._given, AsyncSession)
        await self._given.run_sync(lambda _: self._leave(error))

    # -- behind it ------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        session = self._session
        self._done = self._looked = False
        insert = self._insert(session)
        values = {**self._values, "result": None, "expires": database_time() + self._seconds}
        statement = insert(EFFECTS).values(**values, created=database_time())
        fresh = {**values, "created": database_time()}
        statement = statement.on_conflict_do_update(
            index_elements=[_E.app, _E.name],
            set_={name: fresh[name] for name in ("result", "expires", "created")},
            where=_E.expires <= database_time(),
        )
        if self._run(statement.returning(_E.name)).first() is None:
            self._done = True
            self.result = decoded(
                self._protection, self.name, self._run(select(_E.result).where(self._mine)).scalar() or "null"
            )
            return
        # An exception takes back what the block has written, and the transaction can go on.
        self._savepoint = session.begin_nested()
        self._savepoint.__enter__()
        event.listen(session, "before_commit", self._before_commit)

    def _insert(self, session: Session) -> Callable[..., Any]:
        connection = session.connection(bind_arguments={"clause": EFFECTS})
        if commits_each_statement(connection):
            raise ConfigurationError(
                "This session's engine commits each statement by itself (isolation_level AUTOCOMMIT), so the key and "
                "the effect would not be one: give the session an engine with transactions."
            )
        insert = _INSERTS.get(connection.dialect.name)
        if insert is None:
            raise ConfigurationError("Effects in a transaction need PostgreSQL or SQLite.")
        return insert

    def _leave(self, error: BaseException | None) -> None:
        savepoint, self._savepoint = self._savepoint, None
        if savepoint is not None:
            event.remove(self._session, "before_commit", self._before_commit)
            kind = None if error is None else type(error)
            try:
                savepoint.__exit__(kind, error, None if error is None else error.__traceback__)
            except BaseException:
                self._forget()
                raise
            if error is None:
                self._keep()
            else:
                self._forget()
        if error is None and not self._looked:
            raise ConfigurationError(
                f"The block of the effect {self.key!r} has not looked whether it is there already, and would cause it "
                "each time: write 'if not effect.done:' in it."
            )

    def _forget(self) -> None:
        # A transaction that can only be rolled back takes the key with it.
        with contextlib.suppress(SQLAlchemyError):
            self._run(delete(EFFECTS).where(self._mine))

    def _keep(self) -> None:
        text = encoded(self._protection, self.name, self.result)
        if not self._run(update(EFFECTS).where(self._mine).values(result=text)).rowcount:
            raise ConfigurationError(
                f"The block of the effect {self.key!r} was rolled back inside, and its key with it: let an exception "
                "leave the block instead."
            )
        if random.randrange(_SWEEPS) == 0:
            old = select(_E.app, _E.name).where(_E.expires <= database_time()).limit(_SWEEP_ROWS)
            for app, name in self._run(old.with_for_update(skip_locked=True)).all():
                self._run(delete(EFFECTS).where((_E.app == app) & (_E.name == name)))

    def _before_commit(self, session: Session) -> None:
        if not session.in_nested_transaction():
            raise ConfigurationError(
                f"commit() inside the block of the effect {self.key!r} would part it from its key: leave the commit to "
                "the end of the block."
            )

    def _run(self, statement: Any) -> Any:
        return self._session.execute(statement, bind_arguments={"clause": EFFECTS})


def _unscoped(session: AnySession) -> Session | AsyncSession:
    if isinstance(session, scoped_session | async_scoped_session):
        session = session()
    if not isinstance(session, Session | AsyncSession):
        raise ConfigurationError(
            f"idempotent(session=) takes a Session or an AsyncSession of SQLAlchemy, not {type(session).__name__}."
        )
    return session
