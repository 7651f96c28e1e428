"""C29: circuit breakers against a plain model: closed, open, one probe."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.primitives.models import SPANS, STEPS, Primitive, Scene, hold_against
from umbel.state.breakers import Threshold

NAMES = st.sampled_from("ab")
OWNERS = st.sampled_from("xyz")


@dataclass
class Known:
    """What the model knows of a breaker: closed with its failures, or open until, with a probe until."""

    failures: list[int] = field(default_factory=list)
    opens: int | None = None
    probe: str | None = None
    until: int = 0


class Breakers(Primitive):
    """After too many failures in a window nobody passes; then one, whose end closes or opens it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.breakers = self.store.breakers
        self.known = {"a": Known(), "b": Known()}
        self.threshold = Threshold(1, 1.0, 1.0)

    @initialize(failures=st.integers(1, 3), within=SPANS, open_for=SPANS)
    def declare(self, failures: int, within: int, open_for: int) -> None:
        self.threshold = Threshold(failures, float(within), float(open_for))

    @rule(name=NAMES, owner=OWNERS, probe_seconds=SPANS)
    def enter(self, name: str, owner: str, probe_seconds: int) -> None:
        known = self.known[name]
        found = self.breakers.enter(self.named(name), owner, probe_seconds)
        wait = 0
        if known.opens is not None:
            wait = known.opens - self.now
            if wait <= 0 and known.probe not in (None, owner):
                wait = known.until - self.now
        if wait > 0:
            assert not found.probing
            assert wait - 300 < found.wait <= wait
            return
        assert (found.wait, found.probing) == (0.0, known.opens is not None)
        if found.probing:
            known.probe, known.until = owner, self.now + probe_seconds

    @rule(name=NAMES, owner=OWNERS)
    def fail(self, name: str, owner: str) -> None:
        known = self.known[name]
        is_open = self.breakers.failed(self.named(name), owner, self.threshold)
        if known.opens is not None and known.probe != owner:
            assert is_open == (known.opens > self.now)
            return
        if known.opens is None:
            known.failures = [at for at in known.failures if at > self.now - self.threshold.within] + [self.now]
            if len(known.failures) < self.threshold.failures:
                assert not is_open
                return
        assert is_open
        self.known[name] = Known(opens=self.now + int(self.threshold.open_for))

    @rule(name=NAMES, owner=OWNERS)
    def succeed(self, name: str, owner: str) -> None:
        self.breakers.succeeded(self.named(name), owner)
        if self.known[name].opens is not None and self.known[name].probe == owner:
            self.known[name] = Known()

    @rule(seconds=STEPS)
    def pass_time(self, seconds: int) -> None:
        self.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.store.sweep()

    @invariant()
    def waits_agree(self) -> None:
        for name, known in self.known.items():
            wait = 0 if known.opens is None else max(0, known.opens - self.now)
            found = self.breakers.opens_in(self.named(name))
            assert wait - 300 < found <= wait if wait else found == 0.0


def test_c29_breakers_keep_to_the_model(scene: Scene) -> None:
    hold_against(Breakers, scene)
