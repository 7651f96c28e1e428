"""The Redis engine: Kombu's lists and envelopes, with leases, a delayed set and settlement in one step.

Guarantees: a message whose :meth:`enqueue` returned is at the server, and survives the death of any process; a live
process's messages are its own; what one execution leaves behind is written by one script or not at all. What a crash
of the server itself may lose is said by its own settings (``appendonly``).
Costs: one script a batch, and nothing while idle but one question a second.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from umbel.engine.lease import Lease, read_overdue
from umbel.engine.letters import KEEP, LetterLimits
from umbel.engine.redis_documents import RedisDocuments
from umbel.engine.redis_events import RedisEvents
from umbel.engine.redis_fanout import RedisFanout
from umbel.engine.redis_groups import RedisGroups
from umbel.engine.redis_intake import FIRST_OWN, RedisIntake
from umbel.engine.redis_leases import LeaseInfo, Leases, Stale, run_directory
from umbel.engine.redis_letters import RedisLetters
from umbel.engine.redis_moving import RedisMoving
from umbel.engine.redis_names import RedisNames
from umbel.engine.redis_operations import RedisOperations
from umbel.engine.redis_plain import apart, plain_ends
from umbel.engine.redis_status import most_urgent
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wake import RedisListener
from umbel.engine.redis_wire import BAND, message, pack, record_fields, settled, taken
from umbel.engine.store import ChordPart, Delivery, Outgoing, Record, Settled, Settlement, Stored
from umbel.errors import ConfigurationError, StoreError

__all__ = ("RedisEngine",)

logger = logging.getLogger(__name__)

_BANDS: Final = (f"{BAND}9", f"{BAND}6", f"{BAND}3", "")
_OVERDUE: Final = "hard time limit exceeded, and its process had to be killed"
_RENEW_SECONDS: Final = 3.0
_MARK_SECONDS: Final = 0.05


class RedisEngine(RedisOperations):
    """The engine of ``redis:``, ``rediss:`` and ``unix:`` URLs."""

    scheme = "redis"
    events: RedisEvents
    groups: RedisGroups
    letters: RedisLetters
    bands = (0, 3, 6, 9)
    far = True

    def __init__(
        self, url: str, *, crash_limit: int = 3, prefix: str = "", run: Path | None = None, keep: LetterLimits = KEEP
    ) -> None:
        self.url: Final = url
        self.prefix: Final = prefix
        self.store = RedisStore(url, prefix=prefix)
        self.names = RedisNames(self.store)
        self.groups = RedisGroups(self.store)
        self.documents: Final = RedisDocuments(self.store)
        self.events = RedisEvents(self.store)
        self.fanout: Final = RedisFanout(self.store)
        self.crash_limit: Final = crash_limit
        self.run: Final = run or run_directory(url)
        self.leases = Leases(self.store, self.run)
        self.letters = RedisLetters(self.store, keep, self.names.note)
        self.moving = RedisMoving(self.store, self.names, self.leases, self.letters)
        self._forget_process()

    def _forget_process(self) -> None:
        self._pid = os.getpid()
        self.names.forget()
        self._lease: Lease | None = None
        self._listener: RedisListener | None = None
        self._losses = 0
        self._renewed = 0.0
        self._intake = RedisIntake(self.store, self.names, self.events.heard)
        self._tag, self._tags = f"{secrets.token_hex(8)}-", itertools.count()

    def _here(self) -> None:
        if self._pid != os.getpid():
            self.store.reset()
            self._forget_process()

    def check(self) -> None:
        """Ask the server, so that what is wrong is said now."""
        self._here()
        if self.store.is_cluster():
            raise ConfigurationError(
                f"{self.store.shown} is a Redis Cluster, whose keys live on several servers, where a job's end "
                "cannot be written in one step: name a single Redis, or one behind Sentinel."
            )
        # By what it can do: others who speak as Redis does count their versions in their own way.
        if not self.store.run("check"):
            raise ConfigurationError(
                f"{self.store.shown} lacks commands of Redis 6.2: Umbel needs Redis 6.2, Valkey 7.2, or newer."
            )

    def new_tag(self) -> str:
        """Return a tag that is the message's own wherever it goes: plain workers keep messages by it."""
        return f"{self._tag}{next(self._tags)}"

    # -- messages ---------------------------------------------------------------------------------------------

    def enqueue(self, messages: Sequence[Outgoing]) -> int:
        return self.begin_enqueue(messages)()

    def begin_enqueue(self, messages: Sequence[Outgoing]) -> Callable[[], int]:
        self._here()
        self.names.note({one.queue for one in messages})
        return self.store.begin_once("enqueue", pack([message(self.prefix, one) for one in messages]))

    def fetch(self, queues: Mapping[str, int], limit: int, *, suspects: bool = False) -> list[Delivery]:
        self._here()
        if self._lease is None:
            return []
        self._renew()
        found = self._intake.fetch(queues, limit, self._listener, suspects=suspects)
        if found is None:
            self._begin_anew()
            return []
        return found

    def most_urgent(self, queues: Mapping[str, int]) -> int | None:
        """Return the lowest rank (9 minus priority) that is ready in ``queues``; None when nothing is."""
        return most_urgent(self.store, queues.keys() - self._intake.paused)

    def take(self, queue: str, limit: int) -> list[Delivery]:
        self._here()
        if self.fanout.hears(queue):
            return [taken(queue, element) for element in self.fanout.take(queue, limit)]
        found: list[bytes] = []
        with self.store.asking() as client:
            for band in _BANDS:
                if len(found) < limit:
                    found += client.rpop(self.store.kombu(queue + band), limit - len(found)) or []
        return [taken(queue, element) for element in found]

    def settle(self, entries: Sequence[Settled]) -> Settlement:
        self._here()
        self.names.note({one.queue for entry in entries for one in entry.outgoing})
        token, known = self._lease.token if self._lease is not None else "", self._intake.known
        plain, others = apart(entries)
        words = settled(self.prefix, others, known, self.letters.ending), plain_ends(plain, known)
        told = self.events.packed([entry.told for entry in (*plain, *others)])
        moved = " ".join(str(entry.seq) for entry in entries if entry.seq is not None and entry.seq >= FIRST_OWN)
        refused, complete, refused_plain = self.store.run("settle", token, self.crash_limit, *words, told, moved)
        if self._lease is not None:
            for entry in entries:
                if entry.seq is not None and entry.action != "keep":
                    self._lease.end(entry.seq)
                    known.pop(entry.seq, None)
        last = {part.group_id: part for entry in entries for part in entry.parts}
        back = [others[number] for number in refused] + [plain[number] for number in refused_plain]
        return Settlement(tuple(back), _parts(complete, last))

    # -- leases -----------------------------------------------------------------------------------------------

    def open_lease(self, hostname: str, queues: Sequence[str], concurrency: int) -> str:
        self.check()
        if self._lease is not None:
            self.close_lease()
        self._lease = self._new_lease(hostname, queues, concurrency)
        self._listener = RedisListener(self.url)
        return self._lease.token

    def _new_lease(self, hostname: str, queues: Sequence[str], concurrency: int) -> Lease:
        lease = Lease(self.run, slots=max(1024, 2 * concurrency))
        try:
            self.names.note(queues)
            self.leases.open(lease.token, hostname, list(queues), concurrency)
        except BaseException:
            lease.release()
            raise
        self._intake.begin(lease.token)
        self._said = hostname, queues, concurrency
        return lease

    def _begin_anew(self) -> None:
        """Others have given back what this process held, because it was out of touch for too long: take a new lease."""
        old = self._lease
        assert old is not None
        logger.warning(
            "This process was out of touch for too long: others have its jobs now, it goes on with new ones."
        )
        if self._listener is not None:
            self._listener.drop()
        self._lease = self._new_lease(*self._said)
        old.release()
        if self.on_lease is not None:
            self.on_lease(self._lease.token)

    def ensure_lease(self, queues: Sequence[str]) -> None:
        """Open a lease if this process has none."""
        self._here()
        if self._lease is None:
            self.open_lease(f"client@{socket.gethostname()}", queues, 0)

    def close_lease(self) -> None:
        self._here()
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        try:
            if self._listener is not None:
                self._intake.withdraw(self._listener)
            self._release(lease.token, crashed=False)
        finally:
            lease.release()
            if self._listener is not None:
                self._listener.close()
                self._listener = None

    def _release(
        self, token: str, *, crashed: bool, started: Sequence[int] = (), overdue: Sequence[int] = (), beat: str = ""
    ) -> tuple[int, int]:
        limit = self.crash_limit
        freed, hit = self.store.run(
            "release", token, limit, int(crashed), pack(list(started)), pack(list(overdue)), _OVERDUE, beat
        )
        self.leases.forget(token)
        return int(freed), int(hit)

    def retire(self) -> None:
        if self._lease is not None:
            self.leases.retire(self._lease.token)

    def renew(self, tokens: Sequence[str]) -> None:
        """Tell other hosts that these processes live."""
        self.leases.renew(list(tokens))

    def _renew(self) -> None:
        now = time.monotonic()
        if self._lease is not None and now - self._renewed > _RENEW_SECONDS:
            self._renewed = now
            if self.leases.renew([self._lease.token]):
                self._begin_anew()

    def started(self, seq: int, limit: float | None = None) -> None:
        if self._lease is not None:
            self._lease.start(seq, limit)

    def overdue(self, token: str, margin: float) -> list[int]:
        """Return the messages of another process's lease whose jobs are ``margin`` seconds past their hard limit."""
        return read_overdue(self.run, token, margin)

    def reap(self, token: str | None = None, *, crashed: bool = True, overdue: Sequence[int] = ()) -> int:
        self._here()
        try:
            infos = [info for info in self.leases.all() if token in (None, info.token)]
            return sum(self._reap(info, crashed, overdue) for info in infos)
        except StoreError:
            self.leases.look_away()
            raise

    def _reap(self, info: LeaseInfo, crashed: bool, overdue: Sequence[int]) -> int:
        abandoned = self.leases.abandoned(info)
        if abandoned is None:
            return 0
        beat = repr(abandoned.beat) if isinstance(abandoned, Stale) else ""
        with abandoned:
            freed, _ = self._release(info.token, crashed=crashed, started=abandoned.started, overdue=overdue, beat=beat)
        return freed

    def suspects(self, queues: Sequence[str] | None = None) -> int:
        """Return how many messages wait to run alone, in ``queues`` or in all."""
        names = set(self.names.all() if queues is None else queues) - self.names.paused()
        with self.store.asking() as client:
            return sum(client.llen(self.store.key(f"suspect:{name}")) for name in names)

    def wait(self, seconds: float, *, full: bool = False, busy: bool = False) -> bool:
        self._here()
        if self._listener is None:
            time.sleep(min(seconds, 0.02))
            return True
        self._renew()
        if full:
            self._intake.withdraw(self._listener)
            return self._listener.rest(seconds)
        due, _ = self._intake.next_due or (math.inf, None)
        due_in = max(due - time.monotonic(), 0.001)
        try:
            if self._losses != self.store.losses:
                self._losses = self.store.losses
                self._listener.drop()
            self._listener.listen(self.fanout.fileno())
            seconds = min(seconds, due_in)
            move = None if busy else self._intake.move(self._listener)
            return self._listener.wait(self._intake.look(), seconds, move) or due_in <= seconds
        except (RedisError, OSError):
            self.store.distrust()
            time.sleep(min(seconds, 0.2))
            return True

    def ring(self) -> None:
        if self._listener is not None:
            self._listener.ring()

    # -- results ----------------------------------------------------------------------------------------------

    def read(self, task_ids: Sequence[str]) -> list[Stored]:
        return self.documents.read(task_ids)

    def forget(self, task_id: str) -> None:
        self.documents.forget(task_id)

    def cancel(self, task_id: str, record: Record | None, *, running: bool = True) -> bool:
        self._here()
        fields = pack(record_fields(record)) if record is not None else b""
        return bool(self.store.run("cancel", task_id, int(running), fields))

    def cancelled_here(self) -> list[str]:
        """Return the ids among this process's messages that have been cancelled."""
        if self._lease is None:
            return []
        with self.store.asking() as client:
            held = [one for inbox in self._intake.in_inboxes() for one in client.lrange(inbox, 0, -1)]
            held += client.hvals(self.store.key(f"held:{self._lease.token}"))
            cancelled = client.hgetall(self.store.key("cancelled"))
        ids = (value.rpartition(b" ")[2].removesuffix(b'"}') for value in held)
        return [one.decode() for one in ids if cancelled.get(one, b"").endswith(b" 1")]

    def cancel_mark(self) -> int:
        """Return a number that grows with every cancellation; a fetch of just now has brought it along."""
        at, mark = self._intake.marked
        if time.monotonic() - at < _MARK_SECONDS:
            return mark
        with self.store.asking() as client:
            return int(client.get(self.store.key("cancels")) or 0)

    def close(self) -> None:
        self.close_lease()
        self.names.forget()
        self.fanout.close()
        self.store.close()


def _parts(complete: Sequence[bytes], last: Mapping[str, ChordPart]) -> tuple[ChordPart, ...]:
    return tuple(last[group.decode()] for group in complete)
