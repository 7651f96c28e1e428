"""An application with a database of its own: orders, and a job for each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from umbel import Settings, Task, Umbel
from umbel.jobs.database_url import asynchronous
from umbel.jobs.outbox_prompt import Prompt
from umbel.jobs.outbox_relay import Relay
from umbel.jobs.outbox_table import TABLE, create_outbox

__all__ = ("Base", "Order", "Shop", "no_prompt")


class Base(DeclarativeBase):
    """The tables of the application."""


class Order(Base):
    """A row of business data; its job has its label for an id."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(unique=True)


class Shop:
    """The application in this process. ``confirm`` is never run: what counts is whether it is queued."""

    def __init__(self, database: str, broker: str, *, make: bool = True, **settings: Any) -> None:
        self.database = database
        self.broker = broker
        self.engine: Engine = create_engine(database)
        self.jobs = Umbel(
            "shop", broker=broker, settings=Settings(database_url=database, **settings), set_as_current=False
        )
        self.confirm: Task[..., Any] = self.jobs.task(name="shop.confirm", shared=False)(_confirm)
        self.aconfirm: Task[..., Any] = self.jobs.task(name="shop.aconfirm", shared=False)(_aconfirm)
        if make:
            Base.metadata.create_all(self.engine)
            create_outbox(self.engine)
            # The fast way and the test must not race for the first connection.
            assert self.queued() == 0

    def has(self, task_id: str) -> bool:
        """Whether the job is queued."""
        return self.jobs.engine.locate(task_id) is not None

    def queued(self) -> int:
        """How many jobs are queued."""
        return sum(queue.ready + queue.delayed for queue in self.jobs.engine.queues())

    def rows(self) -> int:
        """How many rows stand in the outbox."""
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(TABLE)) or 0

    def labels(self) -> list[str]:
        with Session(self.engine) as session:
            return list(session.scalars(select(Order.label).order_by(Order.id)))

    def relay(self) -> Relay:
        return Relay(self.database, "shop", lambda: self.jobs.engine)

    def order(self, label: str) -> None:
        """Commit an order and its job."""
        with Session(self.engine) as session, session.begin(), self.jobs.in_transaction(session):
            session.add(Order(label=label))
            self.confirm.apply_async((label,), task_id=label)

    @contextlib.asynccontextmanager
    async def async_engine(self) -> Any:
        engine: AsyncEngine = create_async_engine(asynchronous(self.database))
        try:
            yield engine
        finally:
            await engine.dispose()

    def close(self) -> None:
        # Another one may hold the file for a moment: what counts is that nothing of ours stays open.
        with contextlib.suppress(DBAPIError):
            self.engine.dispose()
        self.jobs.close_databases()
        self.jobs.engine.close()
        self.jobs.close()


def _confirm(label: str) -> str:
    return label


async def _aconfirm(label: str) -> str:
    return label


@contextlib.contextmanager
def no_prompt() -> Iterator[None]:
    """Leave committed rows in the outbox, as a process does that dies right after its commit."""
    nothing: Callable[..., None] = lambda *_: None  # noqa: E731
    with mock.patch.object(Prompt, "publish", nothing):
        yield
