"""Queues: to pause, to resume, to purge."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Final

from umbel.errors import SelectionChanged, UnknownName
from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.store import QueueStatus
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations.desk import Desk

__all__ = ("QueueOperations",)

#: So many are named to whoever has named one that there is not.
_NAMED_MOST: Final = 20


class QueueOperations:
    """``jobs.operations.queues``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Return the names that fit ``pattern``, in which ``*`` stands for anything: what is acted on then."""
        return tuple(sorted(fnmatch.filter(self._known(), pattern)))

    def pause(self, *names: str, by: Actor) -> Outcome:
        """Let nobody on any host take a job from these queues, durably. Raises :exc:`UnknownName`."""
        with self._desk.action(by, "queue.pause", ", ".join(names)):
            self._check(names)
            for name in names:
                self._app.engine.pause(name)
        return _outcome(names, "paused", "its jobs wait until it is resumed", "their jobs wait until they are resumed")

    def resume(self, *names: str, by: Actor) -> Outcome:
        """Let these queues be taken from again. Raises :exc:`UnknownName`."""
        with self._desk.action(by, "queue.resume", ", ".join(names)):
            self._check(names)
            for name in names:
                self._app.engine.resume(name)
        return _outcome(names, "resumed", "its jobs start as soon as a slot is free", "their jobs start again")

    def waiting(self, name: str) -> int:
        """Return how many messages a purge would drop. Raises :exc:`UnknownName`."""
        found: QueueStatus | None = next((one for one in self._app.engine.queues() if one.name == name), None)
        if found is None:
            self._check((name,))
            return 0
        return found.ready + found.delayed + found.suspect

    def purge(self, name: str, *, by: Actor, expected: int | None = None, upto: int | None = None) -> Outcome:
        """Drop what waits in a queue, delayed included; running jobs go on.

        ``upto``: the ``mark`` of the queue when somebody looked; nothing is dropped that was queued after it, but for
        what plain Celery's clients have sent to Redis, which bears no time. With RabbitMQ there is no mark:
        ``expected`` is how many there were, and when there are more by now nothing is dropped. Raises
        :exc:`UnknownName`, :exc:`SelectionChanged`.
        """
        with self._desk.action(by, "queue.purge", name, expected=expected) as entry:
            waiting = self.waiting(name)
            if upto is None and expected is not None and waiting > expected:
                raise SelectionChanged(f"{waiting:,} wait in {name!r} now, and {expected:,} did")
            count = self._app.engine.purge(name, upto=upto)
            entry.note(dropped=count)
        return Outcome(text=f"{count:,} were dropped from {name!r}.", target=name, count=count)

    def _known(self) -> set[str]:
        return {queue.name for queue in self._app.engine.queues()} | set(self._app.amqp.queues)

    def _check(self, names: tuple[str, ...]) -> None:
        known = self._known()
        for name in names:
            if name not in known:
                raise UnknownName("queue", name, f"; there are: {_listed(known)}")


def _listed(names: set[str]) -> str:
    some = sorted(names)[:_NAMED_MOST]
    return ", ".join(some) + (", …" if len(names) > len(some) else "") or "none"


def _outcome(names: tuple[str, ...], done: str, one: str, many: str) -> Outcome:
    listed = ", ".join(map(repr, names))
    text = f"{listed} is {done}: {one}." if len(names) == 1 else f"{len(names)} queues are {done}: {many}."
    return Outcome(text=text, target=", ".join(names), count=len(names))
