"""Looks for what is wrong every ten seconds, and tells: in the recorder's process, of several in the one that leads.

What is wrong in several looks running is an incident, so that a worker's restart, or one slow moment, is none; what has
not been wrong for a minute is over. While the store or the history is away nothing begins and nothing ends. Costs a few
reads a look; a channel that is slow holds up other notices and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from umbel.engine.outage import Outage
from umbel.errors import UmbelError
from umbel.monitor.alerts.channels import Channel, Untold, channels_of
from umbel.monitor.alerts.incidents import Incidents
from umbel.monitor.alerts.notices import Notice, Notices
from umbel.monitor.alerts.symptoms import Rule, Symptom, look

if TYPE_CHECKING:
    from umbel.engine.store import Engine
    from umbel.monitor.alerts.plan import Plan
    from umbel.monitor.history import History

__all__ = ("Alerter",)

logger = logging.getLogger("umbel.alerts")

_LOOK_SECONDS: Final = 10.0
#: In so many looks running something must be wrong; what is counted over a time is once.
_LOOKS: Final = {Rule.QUEUE_WAIT: 2, Rule.NO_CONSUMER: 6, Rule.SCHEDULER: 2}
#: In so many looks running it must not be, to be over.
_CALM: Final = 6
_STOP_SECONDS: Final = 2.0
_PRUNE_SECONDS: Final = 3600.0
_KEPT_SECONDS: Final = 90 * 86_400.0
#: However long nobody has looked, what happened is counted from then on at the most.
_BACK_SECONDS: Final = 86_400.0


class Alerter:
    """The alerts of one store."""

    def __init__(
        self, engine: Engine, history: History, plan: Plan, *, leads: Callable[[], bool] = lambda: True
    ) -> None:
        """``leads``: whether this process is the one. Raises :exc:`ConfigurationError` for channels that are none."""
        self._engine: Final = engine
        self._history: Final = history
        self._plan: Final = plan
        self._leads: Final = leads
        self._channels: Final[dict[str, Channel]] = {one.name: one for one in channels_of(plan)}
        self._incidents: Final = Incidents(history.database)
        self._store: str | None = None
        self._wrong: Counter[tuple[str, str]] = Counter()
        self._calm: Counter[int] = Counter()
        self._seen: dict[str, float] = {}
        self._looked_at: float | None = None
        self._pruned = time.monotonic()

    # -- looking --------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Look once, and tell what is to be told. Raises :exc:`UmbelError` while store or history cannot be used."""
        self.look()
        self.tell()
        self._prune()

    def look(self) -> None:
        """Open and end incidents."""
        now = time.time()
        for entry in self._plan.rhythm.entries:
            self._seen.setdefault(entry, now)
        found = look(self._engine, self._history.database, self._plan, since=self._since(now), seen=self._seen)
        store = self._name
        going_on = self._incidents.going_on(store)
        known = {(one.rule, one.subject) for one in going_on}
        self._incidents.open(store, [one for one in self._confirmed(found) if _key(one) not in known], self._channels)
        wrong = {_key(one) for one in found}
        for one in going_on:
            self._calm[one.number] = 0 if (one.rule, one.subject) in wrong else self._calm[one.number] + 1
        over = [one for one in going_on if self._calm[one.number] >= _CALM]
        self._incidents.end(over, self._channels)
        self._calm = Counter({one.number: self._calm[one.number] for one in going_on if one not in over})
        self._looked_at = now

    def _since(self, now: float) -> float:
        """Return from when on what happened counts: also what happened while nobody could look."""
        usual = now - self._plan.thresholds.within
        if self._looked_at is None or self._looked_at > now:
            return usual
        return max(min(usual, self._looked_at), now - _BACK_SECONDS)

    def _confirmed(self, found: list[Symptom]) -> Iterator[Symptom]:
        self._wrong = Counter({_key(one): self._wrong[_key(one)] + 1 for one in found})
        for one in found:
            if self._wrong[_key(one)] >= _LOOKS.get(one.rule, 1):
                yield one

    @property
    def _name(self) -> str:
        if self._store is None:
            self._store = self._engine.events.identity()
        return self._store

    # -- telling --------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Tell all notices that are due."""
        notices = Notices(self._history.database, self._name)
        channels = set(self._channels)
        while (notice := notices.claim(sorted(channels))) is not None:
            if not self._tell(notices, notice):
                # What is down is left alone until the next look.
                channels.discard(notice.channel)

    def _tell(self, notices: Notices, notice: Notice) -> bool:
        try:
            self._channels[notice.channel].tell(notice)
        except Untold as error:
            doubt = "may not have been told" if error.unsure else "was not told"
            logger.warning("Alert %d %s by %s: %s", notice.incident.number, doubt, notice.channel, error.reason)
            notices.failed(notice, error.reason, unsure=error.unsure)
            return False
        except Exception as error:
            logger.exception("Alert %d could not be told by %s.", notice.incident.number, notice.channel)
            notices.failed(notice, type(error).__name__, unsure=True)
            return False
        notices.told(notice)
        return True

    def _prune(self) -> None:
        if time.monotonic() - self._pruned > _PRUNE_SECONDS:
            self._pruned = time.monotonic()
            self._incidents.prune(time.time() - _KEPT_SECONDS)

    # -- running --------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop, whenever this process leads."""
        outage = Outage("Nobody can look for alerts", "Alerts are looked for again")
        while not stop.wait(_LOOK_SECONDS):
            if not self._leads():
                # Whoever leads now knows better.
                self._wrong.clear()
                self._calm.clear()
                continue
            try:
                self.step()
            except UmbelError as error:
                stop.wait(outage.pause(error))
            except Exception:
                logger.exception("Alerts could not be looked for.")
            else:
                outage.over()

    @contextmanager
    def running(self, stop: threading.Event) -> Iterator[None]:
        """Look in a thread of its own while the block runs and until ``stop``."""
        thread = threading.Thread(target=self.run, args=(stop,), name="umbel-alerts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_STOP_SECONDS)


def _key(symptom: Symptom) -> tuple[str, str]:
    return symptom.rule.value, symptom.subject
