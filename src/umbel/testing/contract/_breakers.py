"""A circuit breaker opens after too many failures, and lets one probe pass (C29)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from umbel.state.breakers import Breakers, Pass, Threshold
from umbel.testing.contract._suite import Suite, until

__all__ = ("BreakerPromises", "EngineBreakers")

_GO: Final = Pass(0.0)
_LONG: Final = Threshold(3, within=3600, open_for=3600)
_SHORT: Final = Threshold(1, within=3600, open_for=0.02)


class BreakerPromises:
    """C29, whoever keeps the breakers."""

    def breakers(self) -> Breakers:
        """Return the breakers of an empty store."""
        raise NotImplementedError

    def test_c29_too_many_failures_open_it(self) -> None:
        breakers = self.breakers()
        assert breakers.enter("a", "one", 60) == _GO
        assert [breakers.failed("a", "one", _LONG) for _ in range(3)] == [False, False, True]
        passed = breakers.enter("a", "two", 60)
        assert 3500 < passed.wait <= 3600
        assert not passed.probing
        assert 3500 < breakers.opens_in("a") <= 3600
        assert breakers.failed("a", "late", _LONG), "it had passed before; nothing is counted while it is open"
        assert breakers.enter("b", "two", 60) == _GO, "another one's"
        assert breakers.opens_in("b") == 0.0

    def test_c29_failures_that_are_too_far_apart_do_not(self) -> None:
        breakers = self.breakers()
        apart = Threshold(2, within=0.02, open_for=3600)
        for _ in range(3):
            assert not breakers.failed("a", "one", apart)
            over = time.monotonic() + 2 * apart.within
            until(partial(_is_past, over), "the window is over")
        assert breakers.enter("a", "one", 60) == _GO

    def open(self, breakers: Breakers) -> None:
        """Open a breaker and wait until it lets a probe pass."""
        assert breakers.failed("a", "one", _SHORT)
        until(lambda: breakers.opens_in("a") == 0.0, "its time is over")

    def test_c29_a_look_at_many_changes_nothing(self) -> None:
        breakers = self.breakers()
        self.open(breakers)
        assert breakers.failed("b", "one", Threshold(1, within=3600, open_for=3600))
        assert not breakers.failed("c", "one", _LONG)
        for _ in range(2):
            probe, nobody, *closed = breakers.look(["a", "b", "c", "unheard of"])
            assert (probe, closed) == (None, [0.0, 0.0])
            assert nobody is not None
            assert 3500 < nobody <= 3600
        assert breakers.enter("a", "probe", 60).probing
        (waiting,) = breakers.look(["a"])
        assert waiting is not None
        assert 50 < waiting <= 60
        assert breakers.look([]) == []

    def test_c29_one_probe_passes_and_closes_it(self) -> None:
        breakers = self.breakers()
        self.open(breakers)
        assert breakers.enter("a", "probe", 60) == Pass(0.0, probing=True)
        waiting = breakers.enter("a", "other", 60)
        assert 0 < waiting.wait <= 60
        assert breakers.enter("a", "probe", 60) == Pass(0.0, probing=True), "it runs again, after a crash"
        breakers.succeeded("a", "other")
        assert breakers.enter("a", "other", 60).wait, "that was no word of the probe's"
        breakers.succeeded("a", "probe")
        assert breakers.enter("a", "other", 60) == _GO
        assert not breakers.failed("a", "other", _LONG), "it counts anew"

    def test_c29_a_probe_that_fails_opens_it_again(self) -> None:
        breakers = self.breakers()
        self.open(breakers)
        assert breakers.enter("a", "probe", 60).probing
        assert breakers.failed("a", "probe", _LONG)
        assert breakers.enter("a", "other", 60).wait > 3500

    def test_c29_a_probe_that_says_nothing_is_given_up(self) -> None:
        breakers = self.breakers()
        self.open(breakers)
        assert breakers.enter("a", "dead", 0.02).probing
        until(lambda: breakers.enter("a", "next", 60).probing, "another probe")
        breakers.succeeded("a", "dead")
        assert breakers.enter("a", "other", 60).wait

    def test_c29_of_threads_that_race_one_is_the_probe(self) -> None:
        breakers = self.breakers()
        self.open(breakers)
        with ThreadPoolExecutor(50) as threads:
            passes = list(threads.map(lambda number: breakers.enter("a", f"t{number}", 60), range(50)))
        assert sum(one.probing for one in passes) == 1
        assert sum(one.wait > 0 for one in passes) == 49


def _is_past(moment: float) -> bool:
    return time.monotonic() > moment


class EngineBreakers(Suite, BreakerPromises):
    """C29, of an engine."""

    def breakers(self) -> Breakers:
        return self.engine.breakers
