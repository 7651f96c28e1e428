"""What one process is given by Redis: what it fetches, and what the server moves to it while it waits.

A fetch is one script. Its answer may be lost, so the server may hold messages in the process's name of which it knows
nothing: the next fetch begins a new epoch and says what is known.

A message that was moved lies in the process's inbox, and is begun with before anybody has asked whether that may be
(:mod:`umbel.engine.redis_wake` says why it may). The script that makes it the process's own (``claim.lua``) is under
way meanwhile, and is answered before anything else is said of the message. Whatever lies in an inbox and was not begun
with goes back to the head of its list, by the next fetch, by the reaper, or by a sweep.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from umbel.engine.redis_names import RedisNames
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wake import Arrival, Look, Move, RedisListener
from umbel.engine.redis_wire import BAND, deliveries, next_due, pack, queue_of
from umbel.engine.shares import Shares
from umbel.engine.store import Delivery

__all__ = ("RedisIntake",)

_BANDS: Final = (f"{BAND}9", f"{BAND}6", f"{BAND}3", "")
#: The numbers of what was moved, each given once a process: the server's own are by its clock, and far below.
_FIRST_OWN: Final = 1 << 52


@dataclass(slots=True)
class _Claim:
    """A message that was begun with; ``listener`` hears the server's word on it, None if that was lost."""

    seq: int
    mark: bytes
    listener: RedisListener | None


class RedisIntake:
    """The messages of one process."""

    def __init__(self, store: RedisStore, names: RedisNames, heard: Callable[[bool], None]) -> None:
        """``heard`` is told whether what happens is to be told to a recorder."""
        self._store: Final = store
        self._names: Final = names
        self._heard: Final = heard
        self._shares: Final = Shares()
        self._lock: Final = threading.Lock()
        self._numbers: Final = itertools.count(_FIRST_OWN)
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
        self._claim: _Claim | None = None
        #: "TOKEN CONNECTION LISTKEY" of this process's inbox, and of one in which something may have been left.
        self._mark = self._left = b""
        #: Suspects run alone here: nothing may come beside one.
        self._alone = False

    def begin(self, token: str) -> None:
        """Begin with a new lease, which holds nothing."""
        self._claim = None
        self.known.clear()
        self._token, self._mark, self._left = token, b"", b""
        self.doubtful, self.epoch = False, 1

    # -- fetching ---------------------------------------------------------------------------------------------

    def fetch(
        self, queues: Mapping[str, int], limit: int, listener: RedisListener | None, *, suspects: bool = False
    ) -> list[Delivery] | None:
        """Return what this process may begin with; None if its lease has ended."""
        self._alone = self._alone or suspects
        with self._lock:
            self._resolve()
            self._leave(listener)
            arrival = listener.arrived() if listener is not None else None
            if arrival is not None and listener is not None:
                self._left = arrival.move.mark
                if arrival.sure and arrival.move.epoch == self.epoch and not (self.doubtful or suspects):
                    found = self._begun(queues, arrival, listener)
                    if found:
                        return found
            return self._asked(queues, limit, listener, suspects)

    def _begun(self, queues: Mapping[str, int], arrival: Arrival, listener: RedisListener) -> list[Delivery]:
        """Return the message that was moved, if it is from one of ``queues``: it is this process's own by and by."""
        move = arrival.move
        if queue_of(self._store.prefix, move.source) not in queues:
            return []
        # Until it is said: what failed on its way may have come there.
        self.doubtful = True
        with self._store.translated():
            listener.begin()
        self.doubtful = False
        self._claim, self._left = _Claim(move.seq, move.mark, listener), b""
        found = deliveries(self._store.prefix, [[move.source, b"", move.seq, [arrival.element], []]], suspect=False)
        self.known[move.seq] = found[0]
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
        words = (self._token, self.epoch, limit, int(suspects), self._left, *pairs)
        # Until the answer is here, the server may hold messages in our name that we know nothing of.
        self.doubtful = True
        answer = self._store.run("fetch", *words, first=listener.unblock if listener is not None else ())
        self._left = b""
        if listener is not None:
            listener.forget()
        if answer is None:
            return None
        self.paused = {name.decode() for name in answer[1]}
        self._watch(queues)
        self.marked = (time.monotonic(), int(answer[2]))
        self._heard(bool(answer[3]))
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
            self.doubtful = False

    def _split(self, queues: Mapping[str, int], limit: int) -> Sequence[tuple[str, int]]:
        if len(queues) < 2 or not any(queues.values()):
            return [(name, limit) for name in queues]
        waiting = {name: queues[name] for name in queues if name not in self.paused and self._names.size(name)}
        # The others too, for the answer says which are paused.
        rest = [(name, 0) for name in queues if name not in waiting]
        return [*self._shares.split(waiting, limit), *rest]

    # -- what was moved ---------------------------------------------------------------------------------------

    def resolve(self) -> None:
        """Have the server's word on all that was begun with. Raises :exc:`StoreError`."""
        if self._claim is not None:
            with self._lock:
                self._resolve()

    def _resolve(self) -> None:
        claim = self._claim
        if claim is None:
            return
        listener, claim.listener = claim.listener, None
        if listener is not None:
            with self._store.translated():
                answer = listener.answer()
            if answer is not None:
                self._claim = None
                return
        else:
            # What is still under way of it must not take the next message for this one.
            self.doubtful = True
            self._reconcile()
        self._store.run("claim", self._token, self.epoch, claim.mark, claim.seq)
        self._claim = None

    def _leave(self, listener: RedisListener | None) -> None:
        """Have put back, now and later, what comes into an inbox whose connection was given up."""
        while listener is not None and listener.lost:
            self._store.run("leave", listener.lost[0].mark)
            del listener.lost[0]

    def withdraw(self, listener: RedisListener) -> None:
        """Let nothing come any more; what has come goes back. Raises :exc:`StoreError`."""
        with self._lock:
            self._resolve()
            self._leave(listener)
            if listener.move is not None or self._left:
                self._store.run("inbox", *self._mark.split(b" ", 2), "", first=listener.unblock)
                listener.forget()
                self._left = b""

    # -- waiting ----------------------------------------------------------------------------------------------

    def look(self) -> Look:
        """Return what is to be looked at before a wait."""
        key = self._store.key
        guards = [key("paused"), key("cancelled"), key("waits")]
        return Look(self._watched, guards, key("delayed"), self.next_due[1] if self.next_due is not None else None)

    def move(self, listener: RedisListener) -> Move | None:
        """Return what the server is to move to this process while it waits; None for nothing.

        Raises :exc:`StoreError`, and redis-py's errors.
        """
        if self._first is None or self._alone or listener.move is not None:
            return None
        name = listener.name()
        if name is None:
            return None
        source = self._store.kombu(self._first)
        mark = b"%s %d %s" % (self._token.encode(), name, source)
        if mark != self._mark:
            if not self._store.run("inbox", self._token, name, source, self._mark):
                return None
            self._mark = mark
        seq = next(self._numbers)
        claim = self._store.command("claim", self._token, self.epoch, mark, seq)
        return Move(source, self._store.key(f"inbox:{self._token}:{name}"), mark, seq, self.epoch, claim)

    def _watch(self, queues: Iterable[str]) -> None:
        open_queues = [name for name in queues if name not in self.paused]
        self._first = open_queues[0] if open_queues else None
        watching = set(open_queues)
        if watching == self._watching:
            return
        self._watching = watching
        lists = [self._store.kombu(name + band) for name in watching for band in _BANDS]
        self._watched = lists + [self._store.key(f"{side}:{name}") for name in watching for side in ("front", "ring")]
