"""What one process is given by Redis: what it fetches, and what the server moves to it while it waits.

A fetch is one script. Its answer may be lost, so the server may hold messages in the process's name of which it knows
nothing: the next fetch begins a new epoch and says what is known.

A message that was moved lies in an inbox of its own, counts as held from then on, and is begun with before anybody has
asked whether that may be (:mod:`umbel.engine.redis_wake` says why it may). What settles it finds it there. Whatever was
moved and not begun with goes back to the head of its list, by the next fetch, by the reaper, or by a sweep.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

from umbel.engine.redis_names import RedisNames
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wake import Arrival, Look, Move, RedisListener
from umbel.engine.redis_wire import BAND, deliveries, next_due, pack, queue_of
from umbel.engine.shares import Shares
from umbel.engine.store import Delivery
from umbel.state.events import Heard

__all__ = ("FIRST_OWN", "RedisIntake")

_BANDS: Final = (f"{BAND}9", f"{BAND}6", f"{BAND}3", "")
#: The numbers of what was moved, each given once a process: the server's own are by its clock, and far below.
FIRST_OWN: Final = 1 << 52


class RedisIntake:
    """The messages of one process."""

    def __init__(self, store: RedisStore, names: RedisNames, heard: Heard) -> None:
        """``heard``: whether what happens is told to a recorder."""
        self._store: Final = store
        self._names: Final = names
        self._heard: Final = heard
        self._shares: Final = Shares()
        self._lock: Final = threading.Lock()
        self._numbers: Final = itertools.count(FIRST_OWN)
        self._token = ""
        #: What this process was given and has not settled.
        self.known: dict[int, Delivery] = {}
        self.doubtful, self.epoch = False, 1
        #: Of the queues of the last fetch.
        self.paused: set[str] = set()
        self.next_due: tuple[float, float] | None = None
        #: When the last fetch was answered, and the number of cancellations that it brought.
        self.marked = (-math.inf, 0)
        self._watching: Set[str] = frozenset()
        self._watched: list[bytes] = []
        self._first: str | None = None
        #: The next inbox, which the server knows, and over how many connections that was said.
        self._inbox: Move | None = None
        self._connections = 0
        #: The mark of an inbox in which something may have been left.
        self._left = b""
        #: Suspects run alone here: nothing may come beside one.
        self._alone = False

    def begin(self, token: str) -> None:
        """Begin with a new lease, which holds nothing."""
        self.known.clear()
        self._token, self._inbox, self._left = token, None, b""
        self.doubtful, self.epoch = False, 1

    # -- fetching ---------------------------------------------------------------------------------------------

    def fetch(
        self, queues: Mapping[str, int], limit: int, listener: RedisListener | None, *, suspects: bool = False
    ) -> list[Delivery] | None:
        """Return what this process may begin with; None if its lease has ended."""
        self._alone = self._alone or suspects
        with self._lock:
            self._leave(listener)
            arrival = listener.arrived() if listener is not None else None
            if arrival is not None:
                self._left = arrival.move.mark
                if arrival.sure and not (self.doubtful or suspects):
                    found = self._begun(queues, arrival)
                    if found:
                        return found
            return self._asked(queues, limit, listener, suspects)

    def _begun(self, queues: Mapping[str, int], arrival: Arrival) -> list[Delivery]:
        """Return the message that was moved, if it is from one of ``queues``."""
        move = arrival.move
        if queue_of(self._store.prefix, move.source) not in queues:
            return []
        found = deliveries(self._store.prefix, [[move.source, b"", move.seq, [arrival.element], []]], suspect=False)
        self.known[move.seq] = found[0]
        self._inbox, self._left = None, b""
        self._shares.spent(found[0].queue, 1)
        return found

    def _asked(
        self, queues: Mapping[str, int], limit: int, listener: RedisListener | None, suspects: bool
    ) -> list[Delivery] | None:
        self._reconcile()
        pairs = [word for pair in self._split(queues, limit) for word in pair]
        move = listener.move if listener is not None else None
        if move is not None:
            self._left = move.mark
        inbox = self._new_inbox(listener) if self._inbox is None else None
        opened = inbox.mark if inbox is not None else ""
        words = (self._token, self.epoch, limit, int(suspects), self._left, opened, *pairs)
        # Until the answer is here, the server may hold messages in our name that we know nothing of.
        self.doubtful = True
        answer = self._store.run("fetch", *words, first=listener.unblock if listener is not None else ())
        self._left, self._inbox = b"", inbox or self._inbox
        if listener is not None:
            listener.forget()
        if answer is None:
            return None
        self.paused = {name.decode() for name in answer[1]}
        self._watch(queues)
        self.marked = (time.monotonic(), int(answer[2]))
        self._heard.note(bool(answer[3]))
        found = deliveries(self._store.prefix, answer[4:], suspect=suspects)
        self.known.update((one.seq, one) for one in found)
        self.doubtful = False
        self.next_due = next_due(answer[0])
        for delivery in found:
            self._shares.spent(delivery.queue, 1)
        return found

    def _reconcile(self) -> None:
        if self.doubtful:
            self.epoch += 1
            self._store.run("reconcile", self._token, self.epoch, pack(list(self.known)))
            self.doubtful, self._inbox = False, None

    def _split(self, queues: Mapping[str, int], limit: int) -> Sequence[tuple[str, int]]:
        if len(queues) < 2 or not any(queues.values()):
            return [(name, limit) for name in queues]
        waiting = {name: queues[name] for name in queues if name not in self.paused and self._names.size(name)}
        # The others too, for the answer says which are paused.
        rest = [(name, 0) for name in queues if name not in waiting]
        return [*self._shares.split(waiting, limit), *rest]

    # -- what was moved ---------------------------------------------------------------------------------------

    def _leave(self, listener: RedisListener | None) -> None:
        """Have put back, now and later, what comes into an inbox whose connection was given up."""
        while listener is not None and listener.lost:
            self._store.run("leave", listener.lost[0].mark)
            del listener.lost[0]
            self._inbox = None

    def withdraw(self, listener: RedisListener) -> None:
        """Let nothing come any more; what has come goes back. Raises :exc:`StoreError`."""
        with self._lock:
            self._leave(listener)
            move = listener.move
            left = move.mark if move is not None else self._left
            if left:
                self._store.run("inbox", self._token, left, first=listener.unblock)
                listener.forget()
                self._left = b""

    def in_inboxes(self) -> list[bytes]:
        """Return the keys of the inboxes in which messages that this process knows may be still."""
        return [self._key_of(seq) for seq in list(self.known) if seq >= FIRST_OWN]

    def _key_of(self, seq: int) -> bytes:
        return self._store.key(f"inbox:{self._token}:{seq}")

    def _new_inbox(self, listener: RedisListener | None) -> Move | None:
        """Return another inbox, of which the server is to be told; None where nothing is to be moved."""
        if self._first is None or self._alone or listener is None or listener.connections == 0:
            return None
        self._connections = listener.connections
        seq, source = next(self._numbers), self._store.kombu(self._first)
        return Move(source, self._key_of(seq), b"%s %d %s" % (self._token.encode(), seq, source), seq)

    # -- waiting ----------------------------------------------------------------------------------------------

    def look(self) -> Look:
        """Return what is to be looked at before a wait."""
        key = self._store.key
        guards = [key("paused"), key("cancelled"), key("waits")]
        if not self._heard.kept:
            # Of a job that was told of when it was queued the end is to be told too.
            guards.append(key("recorder"))
        return Look(self._watched, guards, key("delayed"), self.next_due[1] if self.next_due is not None else None)

    def move(self, listener: RedisListener) -> Move | None:
        """Return what the server is to move to this process while it waits; None for nothing.

        Raises :exc:`StoreError`, and redis-py's errors.
        """
        if self._first is None or self._alone or listener.move is not None or not listener.moves():
            return None
        inbox = self._inbox
        # A server that was away may have forgotten what it was told over another connection.
        is_known = inbox is not None and self._connections == listener.connections
        if inbox is None or not is_known or inbox.source != self._store.kombu(self._first):
            if inbox is not None:
                self._store.run("leave", inbox.mark)
                self._inbox = None
            inbox = self._new_inbox(listener)
            if inbox is None or not self._store.run("inbox", self._token, inbox.mark):
                return None
            self._inbox = inbox
        return inbox

    def _watch(self, queues: Iterable[str]) -> None:
        open_queues = [name for name in queues if name not in self.paused]
        self._first = open_queues[0] if open_queues else None
        watching = set(open_queues)
        if watching == self._watching:
            return
        self._watching = watching
        lists = [self._store.kombu(name + band) for name in watching for band in _BANDS]
        self._watched = lists + [self._store.key(f"{side}:{name}") for name in watching for side in ("front", "ring")]
