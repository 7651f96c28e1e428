"""The relay: publishes what stays in the outbox because its process died after the commit, or the broker was away.

Any number of relays may run, on any hosts. On PostgreSQL one transaction at a time relays an application, and holds the
rows that it publishes; when its process dies, the server lets them go. On SQLite, which has one host, rows are read,
published, and deleted in a short transaction, so that no writer waits for a broker. A relay that dies between
publishing and deleting leaves rows that the next one publishes again, which queues nothing again: the engine knows
the jobs by their ids for as long as their results are kept, ``result_expires``.
Costs while idle: one SELECT a second.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final

from sqlalchemy import Engine as Database
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from umbel.engine.outage import Outage
from umbel.engine.store import Engine
from umbel.errors import ConfigurationError, StoreError
from umbel.jobs.database_url import synchronous
from umbel.jobs.outbox_post import Post
from umbel.jobs.outbox_rows import BATCH, Counts, aside, counts, find, leads, record, retry, waiting
from umbel.jobs.outbox_table import TABLE

__all__ = ("Relay", "asking", "run_relay")

logger = logging.getLogger(__name__)

#: What is younger is published by the process that committed it.
_AGE_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 1.0
#: How often a database without the table is asked again.
_ABSENT_SECONDS: Final = 15.0
_BUSY_SECONDS: Final = 30


class Relay:
    """Publishes the outbox of the application ``app`` in the database ``url``."""

    def __init__(self, url: str, app: str, engine: Callable[[], Engine]) -> None:
        self._app = app
        self._post = Post(engine)
        place = synchronous(url)
        patience = {"timeout": _BUSY_SECONDS} if place.get_backend_name() == "sqlite" else {"connect_timeout": 5}
        self.database: Final[Database] = create_engine(place, pool_size=1, pool_pre_ping=True, connect_args=patience)

    def is_there(self) -> bool:
        """Whether the database has the table."""
        return inspect(self.database).has_table(TABLE.name)

    def publish(self, *, age: float = _AGE_SECONDS) -> tuple[int, int]:
        """Publish one batch of what was written ``age`` seconds ago or earlier; return how many, and how many failed.

        Raises :exc:`StoreError` while the broker cannot be used, and SQLAlchemy's errors while the database cannot.
        """
        with self.database.connect() as connection:
            if not leads(connection, self._app):
                return 0, 0
            rows = waiting(connection, self._app, BATCH, age)
            if not rows:
                return 0, 0
            if self.database.dialect.name == "sqlite":
                connection.commit()
            sent = self._post.send(rows)
            record(connection, sent)
            connection.commit()
        return len(sent.published), len(sent.refused)

    def drain(self) -> tuple[int, int]:
        """Publish everything that waits, however young; return how many jobs that were, and how many failed."""
        published = refused = 0
        while True:
            some, bad = self.publish(age=0.0)
            published, refused = published + some, refused + bad
            if not some + bad:
                return published, refused

    def counts(self) -> Counts:
        """Return how full the outbox is."""
        with self.database.connect() as connection:
            return counts(connection, self._app)

    def aside(self, limit: int) -> list[tuple[int, str, str, float, str]]:
        """Return (number, task, job, age in seconds, error) of what could not be published."""
        with self.database.connect() as connection:
            return aside(connection, self._app, limit)

    def find(self, task_id: str) -> tuple[str, str, float, str | None] | None:
        """Return (task, queue, when it was written, error) of the row of a job; None when it has none."""
        with self.database.connect() as connection:
            return find(connection, self._app, task_id)

    def retry(self, numbers: tuple[int, ...]) -> int:
        """Let what stands aside be published after all, all of it unless ``numbers`` are given; return how many."""
        with self.database.begin() as connection:
            return retry(connection, self._app, numbers or None)

    def close(self) -> None:
        """Close the connection."""
        self.database.dispose()


@contextlib.contextmanager
def asking(relay: Relay) -> Iterator[None]:
    """Raise what the database says as a :exc:`StoreError`, and :exc:`ConfigurationError` if it has no outbox."""
    shown = relay.database.url.render_as_string(hide_password=True)
    try:
        if not relay.is_there():
            raise ConfigurationError(
                f"{shown} has no table {TABLE.name}: let your migrations make it, or call create_outbox() of "
                "umbel.jobs.outbox_table."
            )
        yield
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise StoreError(shown, f"{shown} cannot be used ({said}).") from error


def run_relay(relay: Relay, stop: threading.Event) -> None:
    """Relay until ``stop`` is set, whatever goes wrong meanwhile."""
    database = Outage("The relay of the outbox cannot use the database", "The relay uses the database again")
    broker = Outage("The relay of the outbox cannot publish", "The relay of the outbox publishes again")
    there, pause = False, 0.0
    while not stop.wait(pause):
        try:
            there = there or relay.is_there()
            done, bad = relay.publish() if there else (0, 0)
        except StoreError as error:
            pause = broker.pause(error)
        except SQLAlchemyError as error:
            # The table may have gone too.
            there, pause = False, database.pause(error)
        except Exception:
            logger.exception("The relay of the outbox failed and goes on.")
            pause = _ABSENT_SECONDS
        else:
            database.over()
            if done:
                broker.over()
            pause = 0.0 if done + bad >= BATCH else _PAUSE_SECONDS if there else _ABSENT_SECONDS
    relay.close()
