"""C31: locks by name against a plain model: owners, fencing numbers, ends, and who waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.primitives.models import SPANS, STEPS, Primitive, Scene, hold_against

NAMES = st.sampled_from("ab")
OWNERS = st.sampled_from("xyz")
#: Jobs that want a lock and wait for it in the store. No owner is named so.
WAITERS = st.sampled_from(["w0", "w1", "w2"])
LATER = 4_000_000_000.0


@dataclass
class Held:
    """Who has a lock, under which number, until when."""

    owner: str
    fence: int
    ends: int


class Locks(Primitive):
    """A lock is its owner's until it is released by its number, or ends; each number is larger than all before it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.locks = self.store.locks
        self.held: dict[str, Held] = {}
        self.fences: list[tuple[str, int]] = []
        #: Ids of jobs that wait for a lock, the first one first.
        self.waits: dict[str, list[str]] = {"a": [], "b": []}
        #: Of jobs whose messages wait: whether they are due.
        self.due: dict[str, bool] = {}

    def lock(self, name: str) -> Held | None:
        """Return who has a lock now."""
        held = self.held.get(name)
        return held if held is not None and held.ends > self.now else None

    def take(self, name: str, owner: str, seconds: int, waiter: str | None = None) -> bool:
        """Try to acquire in both; return whether it was."""
        known = self.lock(name)
        grant = self.locks.acquire(self.named(name), self.named(owner), seconds, waiter=waiter)
        if known is not None and known.owner != owner:
            assert (grant.fence, grant.owner) == (0, self.named(known.owner))
            assert known.ends - self.now - 300 < grant.seconds <= known.ends - self.now
            return False
        assert grant.fence > max((fence for _, fence in self.fences), default=0)
        assert (grant.owner, grant.seconds) == (self.named(owner), seconds)
        self.held[name] = Held(owner, grant.fence, self.now + seconds)
        self.fences.append((name, grant.fence))
        return True

    @rule(name=NAMES, owner=OWNERS, seconds=SPANS)
    def acquire(self, name: str, owner: str, seconds: int) -> None:
        self.take(name, owner, seconds)

    @precondition(lambda self: self.fences)
    @rule(data=st.data(), seconds=SPANS)
    def renew(self, data: Any, seconds: int) -> None:
        asked = data.draw(st.lists(st.sampled_from(self.fences), min_size=1, max_size=4, unique=True))
        lasts = self.locks.renew([(self.named(name), fence) for name, fence in asked], seconds)
        for (name, fence), still in zip(asked, lasts, strict=True):
            held = self.lock(name)
            assert still == (held is not None and held.fence == fence)
            if held is not None and still:
                held.ends = self.now + seconds

    @precondition(lambda self: self.fences)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        name, fence = data.draw(st.sampled_from(self.fences))
        held = self.lock(name)
        freed = held is not None and held.fence == fence
        assert self.locks.release(self.named(name), fence) is freed
        if not freed:
            return
        del self.held[name]
        first = next((job for job in self.waits[name] if self.due.get(job) is False), None)
        if first is not None and self.store.holds:
            self.due[first] = True

    @rule(seconds=STEPS)
    def pass_time(self, seconds: int) -> None:
        self.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.store.sweep()

    # -- jobs that wait for it in the store -------------------------------------------------------------------

    @precondition(lambda self: self.store.holds)
    @rule(name=NAMES, job=WAITERS, seconds=SPANS)
    def come(self, name: str, job: str, seconds: int) -> None:
        """A new job wants a lock, and waits if another one has it."""
        if self.known(job):
            return
        assert self.store.dispatch(self.named(job)) == self.named(job)
        assert self.store.start(self.named(job)) is not None
        self.want(name, job, seconds)

    def known(self, job: str) -> bool:
        """Whether its message waits."""
        return job in self.due

    def want(self, name: str, job: str, seconds: int) -> None:
        """Let a job that was taken go on: it ends at once, with its lock held, or waits."""
        if self.take(name, job, seconds, waiter=self.named(job)):
            self.waits[name] = [one for one in self.waits[name] if one != job]
            self.due.pop(job, None)
            self.store.end(self.named(job))
            return
        if job not in self.waits[name]:
            self.waits[name].append(job)
        self.due[job] = False
        self.store.put_off(self.named(job), LATER)

    @precondition(lambda self: self.due)
    @rule(data=st.data(), seconds=SPANS)
    def run(self, data: Any, seconds: int) -> None:
        """A worker looks for a job that waited: it is there when it was woken."""
        job = data.draw(st.sampled_from(sorted(self.due)))
        found = self.store.start(self.named(job))
        assert (found is not None) == self.due[job]
        if found is None:
            return
        name = next(name for name, jobs in self.waits.items() if job in jobs)
        self.want(name, job, seconds)

    @invariant()
    def holders_agree(self) -> None:
        for name in "ab":
            held, found = self.lock(name), self.locks.holder(self.named(name))
            if held is None:
                assert found is None
            else:
                assert found is not None
                assert (found.owner, found.fence) == (self.named(held.owner), held.fence)

    def teardown(self) -> None:
        for job, due in self.due.items():
            if not due:
                self.store.cancel(self.named(job))
            if self.store.start(self.named(job)) is not None:
                self.store.end(self.named(job))


def test_c31_locks_keep_to_the_model(scene: Scene) -> None:
    hold_against(Locks, scene)
