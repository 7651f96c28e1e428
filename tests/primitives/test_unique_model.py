"""C30: keys that one job has at a time against a plain model: however a job goes, its key is free then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.primitives.models import SPANS, STEPS, Primitive, Scene, hold_against
from umbel.engine.uniques import UniqueKey

NAMES = ("a", "b")


@dataclass
class Job:
    """What the model knows of a job that has not ended."""

    word: str = ""
    held: bool = False
    #: A worker has had it.
    begun: bool = False
    cancelled: bool = False


@dataclass
class Key:
    """Whose a key was last, how, and until when at the most."""

    job: str
    until_start: bool
    ends: int


class Uniques(Primitive):
    """A key is a job's while the store knows its message: until its end, or until a worker takes it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.jobs: dict[str, Job] = {}
        self.keys: dict[str, Key] = {}
        self.count = 0

    def holder(self, name: str) -> str | None:
        """Return whose a key is."""
        key = self.keys.get(name)
        job = self.jobs.get(key.job) if key is not None else None
        if key is None or job is None or key.ends <= self.now:
            return None
        if key.until_start and (job.held or job.begun):
            return None
        # A cancelled job that waits will not run; one that a worker has may still.
        return None if job.cancelled and not job.held else key.job

    def any_job(self, data: Any, *, held: bool) -> str | None:
        """Choose a job."""
        found = sorted(name for name, job in self.jobs.items() if job.held == held)
        return data.draw(st.sampled_from(found)) if found else None

    # -- what may happen --------------------------------------------------------------------------------------

    @rule(name=st.sampled_from([*NAMES, None]), seconds=SPANS, until_start=st.booleans())
    def dispatch(self, name: str | None, seconds: int, until_start: bool) -> None:
        self.count += 1
        own = f"j{self.count}"
        key = None if name is None else UniqueKey(self.named(name), seconds, until_start)
        expected = (None if name is None else self.holder(name)) or own
        assert self.store.dispatch(self.named(own), key) == self.named(expected)
        if expected != own:
            assert self.store.known([self.named(own)]) == []
            return
        self.jobs[own] = Job()
        if name is not None:
            self.keys[name] = Key(own, until_start, self.now + seconds)

    @precondition(lambda self: self.store.holds and self.keys)
    @rule(data=st.data())
    def replace(self, data: Any) -> None:
        """Put another message in the place of one that waits, as a dispatch does that has found the key taken."""
        name = data.draw(st.sampled_from(sorted(self.keys)))
        job, key = self.holder(name), self.keys[name]
        if job is None and key.ends <= self.now:
            return
        waits = job is not None and key.until_start
        self.count += 1
        word = f"word{self.count}"
        assert self.store.supersede(self.named(key.job), word) is waits
        if waits:
            self.jobs[key.job].word = word

    @rule(data=st.data())
    def start(self, data: Any) -> None:
        job = self.any_job(data, held=False)
        if job is None:
            return
        word = self.store.start(self.named(job))
        assert word is not None
        if self.store.holds:
            assert word == self.jobs[job].word
        self.jobs[job].held = self.jobs[job].begun = True

    @rule(data=st.data())
    def give_back(self, data: Any) -> None:
        job = self.any_job(data, held=True)
        if job is None:
            return
        self.store.give_back(self.named(job))
        self.jobs[job].held = False
        # A state store counts the key again until another job has taken it: what came back will still run.
        self.jobs[job].begun = self.store.holds

    @rule(data=st.data())
    def end(self, data: Any) -> None:
        job = self.any_job(data, held=True)
        if job is not None:
            self.store.end(self.named(job))
            del self.jobs[job]

    @rule(data=st.data(), held=st.booleans())
    def cancel(self, data: Any, held: bool) -> None:
        job = self.any_job(data, held=held)
        if job is not None and not self.jobs[job].cancelled:
            self.store.cancel(self.named(job))
            self.jobs[job].cancelled = True

    @rule(seconds=STEPS)
    def pass_time(self, seconds: int) -> None:
        self.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.store.sweep()

    # -- what always holds ------------------------------------------------------------------------------------

    @invariant()
    def holders_agree(self) -> None:
        for name in NAMES:
            found, expected = self.store.holder(self.named(name)), self.holder(name)
            assert found == (None if expected is None else self.named(expected))

    @invariant()
    def messages_agree(self) -> None:
        everybody = [self.named(f"j{number}") for number in range(1, self.count + 1)]
        assert set(self.store.known(everybody)) == {self.named(job) for job in self.jobs}

    def teardown(self) -> None:
        for name, job in self.jobs.items():
            if not job.held:
                self.store.start(self.named(name))
            self.store.end(self.named(name))


def test_c30_keys_keep_to_the_model(scene: Scene) -> None:
    hold_against(Uniques, scene)
