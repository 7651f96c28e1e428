"""Transactional dispatch: a job is queued if and only if the transaction commits in which it was dispatched.

    with Session(engine) as session, session.begin(), jobs.in_transaction(session):
        session.add(order)
        session.flush()
        confirm.delay(order.id)

Inside the block everything that is dispatched (``delay``, ``apply_async``, ``send_task``, ``enqueue_many``, chains,
groups, chords) becomes a row of the table ``umbel_outbox``, written by the session itself with everything else that it
writes: it is there when that is there, and rolled back, savepoints included, when that is. After the commit this
process publishes the rows at once and deletes them; what it leaves because it died, or because the broker was away,
the relay of ``umbel worker`` publishes. A row that is published twice is queued once, by its job's id.

Costs: one row a job in the session's own flush, and after the commit one SELECT, one dispatch and one DELETE a hundred
jobs, in a thread.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from umbel.engine import envelope
from umbel.engine.collecting import offline
from umbel.engine.offline import OfflineProducer
from umbel.engine.store import Outgoing
from umbel.errors import ConfigurationError, DispatchError
from umbel.jobs.database_url import is_same_database, synchronous
from umbel.jobs.outbox_letter import Letter
from umbel.jobs.outbox_post import Post
from umbel.jobs.outbox_prompt import Prompt
from umbel.jobs.outbox_watch import engine_for, watch_over

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("InTransaction", "Outbox")

logger = logging.getLogger(__name__)

AnySession = Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any]


class Outbox:
    """The outbox of one application in this process."""

    def __init__(self, app: Umbel) -> None:
        self._app = app
        self._prompt = Prompt(Post(lambda: app.engine))
        self._checked: set[str] = set()

    def in_transaction(self, session: AnySession) -> InTransaction:
        """Return the block for ``session``. Raises :exc:`ConfigurationError` where it could not keep its promise."""
        plain = _plain(session)
        self._check(plain)
        return InTransaction(self._app, plain, self._prompt)

    def _check(self, session: Session) -> None:
        try:
            engine = engine_for(session)
        except SQLAlchemyError as error:
            raise ConfigurationError(
                "This session has no database for the table umbel_outbox: give it one with Session(engine), or "
                "binds={Letter: engine} with Letter of umbel.jobs.outbox_letter."
            ) from error
        place = str(engine.url)
        if place in self._checked:
            return
        if isinstance(engine.pool, StaticPool | SingletonThreadPool):
            raise ConfigurationError(
                "The outbox needs a second connection to read what was committed, and a database in memory has only "
                "one: use a file, also in tests."
            )
        url = self._app.settings.database_url
        if url is None:
            raise ConfigurationError(
                "in_transaction() needs UMBEL_DATABASE_URL, the database of this session: from it the relay of "
                "'umbel worker' publishes what a process leaves that dies after its commit."
            )
        synchronous(url)
        # Of Umbel's engines, or there is nothing that knows a job by its id.
        _ = self._app.engine
        if not is_same_database(url, engine.url):
            logger.warning(
                "UMBEL_DATABASE_URL does not look like the database of the session that jobs are dispatched in (%s): "
                "if it is another one, nobody publishes what a crash leaves there.",
                engine.url.render_as_string(hide_password=True),
            )
        self._checked.add(place)


class InTransaction:
    """The block of :meth:`umbel.Umbel.in_transaction`, for ``with`` and ``async with``. Nothing in it blocks."""

    def __init__(self, app: Umbel, session: Session, prompt: Prompt) -> None:
        self._app = app
        self._session = session
        self._watch = watch_over(session, app, prompt)
        self._letters = _Letters(self)
        self._block: contextlib.AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        if self._block is not None:
            raise DispatchError("This block of in_transaction() has been entered already: make another one.")
        self._block = offline(self._letters, OfflineProducer(self._app))
        self._block.__enter__()

    def __exit__(self, *error: Any) -> None:
        assert self._block is not None
        self._letters.closed = True
        try:
            self._block.__exit__(*error)
        except ValueError as wrong:
            raise ConfigurationError(
                "in_transaction() was left in another context than it was entered in, so what was dispatched was not "
                "part of the transaction (a FastAPI dependency does so that is a plain generator): use it in the "
                "endpoint, or make the dependency an async generator."
            ) from wrong

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__(*error)

    def take(self, message: Outgoing) -> None:
        """Let the session write ``message``."""
        if message.task_id is None:
            # No job: remote control and its like are for those who listen now.
            self._app.engine.enqueue([message])
            return
        raw = envelope.decode(message.payload)
        headers = raw["headers"]
        # A relay that dies before it has deleted the row publishes it again.
        headers["umbel_once"] = True
        letter = Letter(
            self._watch,
            app=self._app.main or "",
            task_id=message.task_id,
            task=str(headers.get("task")),
            queue=message.queue,
            priority=message.priority,
            due=message.due,
            payload=envelope.encode(raw),
            unique_key=None if message.unique is None else msgspec.json.encode(message.unique).decode(),
        )
        self._watch.add(self._session, letter)


class _Letters(list[Outgoing]):
    """Where a block's dispatches go: on to the session."""

    def __init__(self, block: InTransaction) -> None:
        super().__init__()
        self._block = block
        self.closed = False

    def append(self, message: Outgoing) -> None:
        if self.closed:
            raise DispatchError(
                "The block of in_transaction() in which this task or thread was started has ended: dispatch inside the "
                "block, or start it outside. Nothing was queued."
            )
        self._block.take(message)

    def extend(self, messages: Iterable[Outgoing]) -> None:
        for message in messages:
            self.append(message)

    def __iadd__(self, messages: Iterable[Outgoing]) -> _Letters:  # type: ignore[override,misc]
        self.extend(messages)
        return self

    def __iter__(self) -> Iterator[Outgoing]:
        return iter(())


def _plain(session: AnySession) -> Session:
    """Return SQLAlchemy's own session behind what it offers besides."""
    if isinstance(session, scoped_session | async_scoped_session):
        session = session()
    if isinstance(session, AsyncSession):
        session = session.sync_session
    if not isinstance(session, Session):
        raise ConfigurationError(
            f"in_transaction() takes a Session or an AsyncSession of SQLAlchemy, not {type(session).__name__}."
        )
    return session
