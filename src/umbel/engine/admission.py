"""Whether a job may start now: what is asked of the store for a whole batch, before any of it is started (C31 to C34).

First what its jobs need while they run (:mod:`umbel.engine.holdings`), then their starts under limits. A job whose own
start time lies ahead goes back to the store until then, as the message that it is: it takes no slot, no attempt and no
thread. Costs: a batch with limited jobs is one more round trip, with others one more for each kind of what they need; a
job that declares nothing is looked at once where a worker has others, and not at all elsewhere.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from celery.worker import state as worker_state

from umbel.engine.envelope import dated, decode_body, due_at, moment
from umbel.engine.fetcher import Fetcher
from umbel.engine.holdings import Candidate, Claims
from umbel.engine.short_path import body_of
from umbel.engine.store import Delivery, Outgoing, Settled
from umbel.errors import StoreError
from umbel.state.limits import Ask, Limits, Start

__all__ = ("GRANTED", "Admission", "Book", "Doorkeeper")

logger = logging.getLogger(__name__)

#: The header in which a job finds when its start was granted, on the monotonic clock of its host, and its ask's mark.
GRANTED: Final = "umbel_granted"
_REFRESH_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 1.0
#: Whoever waits for no longer stays here: the store would only send it back.
_HOLD_SECONDS: Final = 0.1
#: So many grants are remembered, and those of so many seconds at least.
_GRANTED_MOST: Final = 10_000
_GRANTED_SECONDS: Final = 5.0
_SIMPLE: Final = re.compile(r"[\w.\-]+", re.ASCII)

_Arguments = Callable[[], tuple[Any, Any] | None]


class Book(Protocol):
    """Which limits the jobs of an application are under."""

    def names(self) -> tuple[set[str], set[str]]:
        """Return the tasks and the queues of which some job may be limited."""

    def ask(self, task: str, queue: str, owner: str, arguments: _Arguments, *, ready: bool = False) -> Ask | None:
        """Return what a job has to ask before it starts; None for nothing, or when it asks by itself.

        ``ready``: it has been granted whatever else it needs.
        """

    def refresh(self, limits: Limits) -> None:
        """Take up what was changed live."""


class Doorkeeper:
    """Knows which messages have to ask: by a look at their text, before anything is decoded."""

    def __init__(self, tasks: set[str], queues: set[str], *, opaque: bool) -> None:
        """``opaque``: the text of a message says nothing of its task."""
        self.tasks, self.queues = tasks, queues
        self.any = bool(self.tasks or self.queues)
        legible = not opaque and all(map(_SIMPLE.fullmatch, self.tasks))
        named = "|".join(re.escape(name) for name in sorted(self.tasks))
        self._said = re.compile(rf'"task": ?"(?:{named})"').search if legible and named else None

    def stops(self, delivery: Delivery) -> bool:
        """Whether the job of ``delivery`` may have to ask."""
        return not delivery.cancelled and delivery.verdict is None and self.concerns(delivery)

    def concerns(self, delivery: Delivery) -> bool:
        """Whether the job of ``delivery`` may be one of those named."""
        if delivery.queue in self.queues:
            return True
        return bool(self.tasks) and (self._said is None or self._said(delivery.payload) is not None)


class Admission:
    """Lets the jobs of one worker process start when they may."""

    def __init__(self, app: Any, fetcher: Fetcher, peek: Callable[[Delivery], Any]) -> None:
        """``peek`` opens a message; None for one that is damaged."""
        self._limits: Limits = fetcher.engine.limits
        self._book: Book = app.limits
        self._claims: Claims = app.claims
        self._fetcher = fetcher
        self._holdings = fetcher.flusher.holdings
        self._holdings.claims = self._claims
        fetcher.on_full = self._loosen
        self._peek = peek
        self._opaque: bool = app.protection.encrypts
        #: When the start of a message was granted.
        self._granted: dict[int, tuple[float, str]] = {}
        self._look_due = 0.0
        self.renew()

    def renew(self) -> None:
        """Find out anew what is limited."""
        self._look_due = 0.0

    def admit(self, batch: list[Delivery]) -> list[Delivery]:
        """Return those of ``batch`` that may start now; the others are put off. Called on the fetch thread."""
        self._look()
        if self._needs.any:
            self._claim([delivery for delivery in batch if not delivery.suspect and self._needs.stops(delivery)])
        if not self._door.any:
            return batch
        for delivery in batch:
            if delivery.cancelled and self._door.concerns(delivery):
                self._renounce(delivery)
        stopped = {delivery.seq for delivery in batch if self._door.stops(delivery)}
        if not stopped:
            return batch
        asks = [(delivery, self._ask(delivery)) for delivery in batch if delivery.seq in stopped]
        waiting = self._decide([(delivery, ask) for delivery, ask in asks if ask is not None])
        return [delivery for delivery in batch if delivery.seq not in waiting] if waiting else batch

    def _claim(self, batch: Sequence[Delivery]) -> None:
        """Ask for what the jobs of ``batch`` need; those of which that cannot be said ask when they begin."""
        jobs = [job for delivery in batch if (job := self._candidate(delivery)) is not None]
        if not jobs:
            return
        try:
            # Of a key that another one has done with.
            self._holdings.give_back()
            self._holdings.keep(self._claims.claim(jobs, self._holdings.is_wanted))
        except StoreError as error:
            logger.warning("Jobs ask one by one for what they need: %s", error)

    def _candidate(self, delivery: Delivery) -> Candidate | None:
        raw = self._ready(delivery)
        if raw is None or raw["headers"]["task"] not in self._needs.tasks:
            return None
        task_id, given = raw["headers"].get("id"), _arguments(raw)
        if given is None or not isinstance(task_id, str) or delivery.task_id != task_id:
            return None
        return Candidate(delivery.seq, raw["headers"]["task"], task_id, *given)

    def _loosen(self) -> None:
        if self._holdings.loosen():
            self._fetcher.flusher.hurry()

    def mark(self, delivery: Delivery, headers: dict[str, Any]) -> None:
        """Tell the job of a message when its start was granted."""
        granted = self._granted.get(delivery.seq)
        if granted is None:
            headers.pop(GRANTED, None)
        else:
            headers[GRANTED] = granted

    def _look(self) -> None:
        if time.monotonic() < self._look_due:
            return
        self._look_due = time.monotonic() + _REFRESH_SECONDS
        try:
            self._book.refresh(self._limits)
        except StoreError as error:
            logger.warning("What was changed of the limits cannot be read, and is as it was: %s", error)
        self._door = Doorkeeper(*self._book.names(), opaque=self._opaque)
        # In a child of a pool nobody would know of it.
        needy = self._claims.names() if self._fetcher.in_process else set()
        self._needs = Doorkeeper(needy, set(), opaque=self._opaque)

    def _ready(self, delivery: Delivery) -> dict[str, Any] | None:
        """Return the message of a job that runs, as far as is known now; None for any other."""
        raw: dict[str, Any] | None = self._peek(delivery)
        if raw is None or "umbel_refused" in raw:
            return None
        headers = raw["headers"]
        expires = moment(headers.get("expires"))
        if not isinstance(headers.get("task"), str) or headers.get("id") in worker_state.revoked:
            return None
        if expires is not None and expires < time.time():
            return None
        if not delivery.enqueued and due_at(headers.get("eta")) is not None:
            # What a plain client sent for later is put off first.
            return None
        return raw

    def _ask(self, delivery: Delivery) -> Ask | None:
        raw = self._ready(delivery)
        if raw is None:
            return None
        name, task_id = raw["headers"]["task"], raw["headers"].get("id")
        owner = task_id if isinstance(task_id, str) else f"message-{delivery.seq}"
        ready = not self._holdings.refuses(delivery.seq)
        return self._book.ask(name, delivery.queue, owner, lambda: _arguments(raw), ready=ready)

    def _renounce(self, delivery: Delivery) -> None:
        """Let others have the start that was promised to a job which was cancelled."""
        raw = self._peek(delivery)
        task = raw and raw["headers"].get("task")
        if not raw or "umbel_refused" in raw or not isinstance(task, str) or delivery.task_id is None:
            return
        ask = self._book.ask(task, delivery.queue, delivery.task_id, lambda: _arguments(raw), ready=True)
        try:
            if ask is not None:
                self._limits.give_back(ask)
        except StoreError as error:
            logger.warning("The start of a cancelled job stays unused: %s", error)

    def _decide(self, asks: Sequence[tuple[Delivery, Ask]]) -> set[int]:
        """Ask for all of them; return the messages that do not start."""
        if not asks:
            return set()
        asked = time.monotonic()
        try:
            starts = self._limits.reserve([ask for _, ask in asks])
        except StoreError as error:
            logger.warning(
                "Limited jobs go back to their queues, because nobody says whether they may start: %s", error
            )
            self._give_back(delivery for delivery, _ in asks)
            time.sleep(_PAUSE_SECONDS)
            return {delivery.seq for delivery, _ in asks}
        waiting = set()
        for (delivery, ask), start in zip(asks, starts, strict=True):
            if start.wait:
                waiting.add(delivery.seq)
                if self._holdings.drop(delivery.seq):
                    self._fetcher.flusher.hurry()
                self._put_off(delivery, start)
            else:
                self._granted[delivery.seq] = asked, ask.mark
        if len(self._granted) > _GRANTED_MOST:
            self._granted = {seq: at for seq, at in self._granted.items() if asked - at[0] < _GRANTED_SECONDS}
        return waiting

    def _put_off(self, delivery: Delivery, start: Start) -> None:
        if delivery.suspect:
            # It runs alone, and what is known of it stands with its message: it stays where it is.
            time.sleep(min(start.wait, _PAUSE_SECONDS))
            self._give_back([delivery])
            return
        engine = self._fetcher.engine
        if start.wait <= max(_HOLD_SECONDS, engine.delay_step):
            self._fetcher.hold(delivery, start.wait)
            return
        payload = dated(engine.anew(delivery.payload), delivery.enqueued)
        later = Outgoing(delivery.queue, payload, delivery.task_id, 9 - delivery.rank, start.at)
        self._fetcher.flusher.submit(Settled(delivery.seq, "ack", outgoing=[later]))
        self._fetcher.finished()

    def _give_back(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._fetcher.flusher.submit(Settled(delivery.seq, "requeue"))
            self._fetcher.finished()


def _arguments(raw: dict[str, Any]) -> tuple[Any, Any] | None:
    """Return what a message passes to its task; None where only its job can tell."""
    if raw.get("content-type") != "application/json" or raw.get("content-encoding") != "utf-8":
        return None
    text = None if raw["headers"].get("compression") else body_of(raw)
    if text is None:
        return None
    try:
        args, kwargs, _ = decode_body(text)
    except Exception:
        return None
    return args, kwargs
