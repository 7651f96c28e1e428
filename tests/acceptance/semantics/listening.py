"""Listening to a world's events while a block runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from tests.acceptance.semantics.waiting import DEADLINE, until
from tests.acceptance.semantics.worlds import World

__all__ = ("Heard", "listen")

_SLICE = 0.2


class Heard:
    """The events heard so far."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def of(self, task_id: str) -> list[str]:
        """The types of the events about one job, in order."""
        return [event["type"] for event in list(self.events) if event.get("uuid") == task_id]

    def wait(self, type: str, task_id: str | None = None, node: str | None = None) -> dict[str, Any]:
        """Wait for an event of a type, about a job when its id is given, from one node when that is."""

        def found() -> dict[str, Any] | None:
            for event in list(self.events):
                about, source = event.get("uuid"), event.get("hostname")
                if event["type"] == type and task_id in (None, about) and node in (None, source):
                    return event
            return None

        event = until(found, f"event {type} of {task_id or node}")
        assert event is not None
        return event


@contextlib.contextmanager
def listen(world: World) -> Iterator[Heard]:
    """Capture all events; the block starts when the first was heard, so that nothing is missed."""
    heard = Heard()
    with world.app.connection_for_read() as connection:
        receiver = world.app.events.Receiver(connection, handlers={"*": heard.events.append})
        thread = threading.Thread(target=_capture, args=(receiver,), name="listener")
        thread.start()
        try:
            _wake(world, heard)
            yield heard
        finally:
            receiver.should_stop = True
            thread.join(DEADLINE)


def _capture(receiver: Any) -> None:
    for _ in receiver.consume(limit=None, safety_interval=_SLICE, wakeup=False):
        if receiver.should_stop:
            break


def _wake(world: World, heard: Heard) -> None:
    def heartbeat() -> bool:
        world.app.control.heartbeat()
        time.sleep(_SLICE / 4)
        return bool(heard.events)

    until(heartbeat, "some event of a worker")
