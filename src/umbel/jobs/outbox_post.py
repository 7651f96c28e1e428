"""Publishing what stands in the outbox, so that one message that cannot be published is in nobody's way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from umbel.engine import envelope
from umbel.engine.store import Engine
from umbel.engine.uniques import queue_all
from umbel.errors import StoreError
from umbel.jobs.outbox_rows import Row, Sent

__all__ = ("Post",)

logger = logging.getLogger(__name__)


class Post:
    """Hands rows to the engine that ``engine`` returns."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine

    def send(self, rows: Sequence[Row]) -> Sent:
        """Publish ``rows`` in their order, in one step where that works.

        A job that is known to the engine by its id is not published again. Raises :exc:`StoreError` while the broker
        cannot be used: then nobody knows of any row whether it is published.
        """
        sound = [(row, _fault(row)) for row in rows]
        refused = [(row, fault) for row, fault in sound if fault is not None]
        good = [row for row, fault in sound if fault is None]
        try:
            if good:
                queue_all(self._engine(), [row.message for row in good])
        except StoreError:
            raise
        except Exception:
            good, more = self._one_by_one(good)
            refused += more
        for row, error in refused:
            logger.error(
                "A committed job cannot be published and stands aside: %s[%s], row %d of the outbox: %s. "
                "See 'umbel outbox status'.",
                row.task,
                row.task_id,
                row.id,
                error,
            )
        return Sent(good, refused)

    def _one_by_one(self, rows: Sequence[Row]) -> tuple[list[Row], list[tuple[Row, str]]]:
        published: list[Row] = []
        refused: list[tuple[Row, str]] = []
        for row in rows:
            try:
                queue_all(self._engine(), [row.message])
            except StoreError:
                raise
            except Exception as error:
                refused.append((row, f"{type(error).__name__}: {error}"))
            else:
                published.append(row)
        return published, refused


def _fault(row: Row) -> str | None:
    try:
        envelope.decode(row.message.payload)
    except ValueError as error:
        return str(error)
    return None
