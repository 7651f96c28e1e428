"""What all parts of the state stores' contract stand on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from umbel.engine.burial import letter_of
from umbel.engine.registry import open_state
from umbel.engine.state import Claim, Claimed, Keyed, Outcome, State
from umbel.engine.store import DeadLetter, Delivery, Outgoing, Settled
from umbel.testing.contract._suite import payload

__all__ = ("STATE_QUEUE", "StateSuite")

STATE_QUEUE: Final = "default"


class StateSuite:
    """One empty state store, and short words for what is asked of it."""

    url: str = ""

    @cached_property
    def state(self) -> State:
        """The store, with the leases ``one`` and ``two``."""
        state = open_state(self.url)
        state.note_queues([STATE_QUEUE])
        for token in ("one", "two"):
            state.leases.open(token, f"{token}@test", [STATE_QUEUE], 10)
        return state

    def teardown_method(self) -> None:
        """Close the store."""
        if "state" in self.__dict__:
            self.state.close()

    # -- short words ------------------------------------------------------------------------------------------

    def note(self, *keys: str, **how: Any) -> list[Keyed]:
        """Dispatch jobs whose ids are their keys."""
        known = [Keyed(key, Outgoing(STATE_QUEUE, payload(key), key, **how), "shop.greet") for key in keys]
        self.state.note(known)
        return known

    def claim(self, key: str, owner: str = "one", seq: int = 1, **how: Any) -> Claimed:
        """Claim one delivery."""
        (answer,) = self.state.claim(owner, [Claim(seq, key, STATE_QUEUE, 0, key, **how)])
        return answer

    def settle(self, entry: Settled, owner: str = "one") -> Outcome:
        """Write one entry."""
        return self.state.settle(owner, [entry], crash_limit=2)

    def bury(self, key: str, reason: str, *, seq: int = 1, owner: str = "one") -> DeadLetter:
        """Let a claimed job fail for good; return its letter as the store has it."""
        letter = letter_of(Delivery(seq, STATE_QUEUE, payload(key), 1, task_id=key), reason)
        self.settle(Settled(seq, "ack", letter), owner)
        (found,) = self.state.letters.read([key])
        return found

    def release(self, token: str, *, crashed: bool = False, started: Sequence[int] = (), **how: Any) -> int:
        """End a lease."""
        return self.state.release(token, crash_limit=2, crashed=crashed, started=started, **how)
