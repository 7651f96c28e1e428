"""C35, C36: dead letters and their replays against a plain model: one a job, dispatched once for each replay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.primitives.models import Primitive, Scene, hold_against
from umbel.engine.burial import letter_of, replay_of
from umbel.engine.failures import failures_in
from umbel.engine.letters import DeadLetter, LetterFilter, ReplayEnd
from umbel.engine.store import Delivery
from umbel.testing.contract._suite import payload

JOBS = st.sampled_from(["j0", "j1", "j2"])


@dataclass(frozen=True)
class Known:
    """What the model knows of a letter."""

    number: int
    errors: tuple[str, ...]
    replays: int = 0
    replaying: bool = False


@dataclass(frozen=True)
class Replayed:
    """A replay that was dispatched, and how its letter was when it was read."""

    job: str
    message: str
    errors: tuple[str, ...]
    replays: int


class Letters(Primitive):
    """Replays carry attempts on, success closes the letter, and who acts on what he read earlier changes nothing."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.known: dict[str, Known] = {}
        self.highest = 0
        self.count = 0
        #: Letters as some sweeper has read them.
        self.read: list[tuple[str, DeadLetter]] = []
        self.replayed: list[Replayed] = []
        self.sent = dict.fromkeys(("j0", "j1", "j2"), 0)

    def bury(self, job: str, message: str, errors: tuple[str, ...], replays: int) -> None:
        """Let a message of a job die of a new error."""
        self.count += 1
        error = ValueError(f"e{self.count}")
        name = self.named(job)
        self.store.write(letter_of(Delivery(1, name, message, 1, task_id=name), error=error))
        (letter,) = self.store.letters.read([name])
        assert letter.id > self.highest, "the number is that of a death"
        self.highest = letter.id
        earlier = self.known.get(job)
        replays = max(replays, earlier.replays if earlier is not None else 0)
        self.known[job] = Known(letter.id, (*errors, str(error)), replays)

    @rule(job=JOBS)
    def die(self, job: str) -> None:
        self.bury(job, payload(self.named(job)), (), 0)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def look(self, data: Any) -> None:
        """Read a letter, to act on it at some later time."""
        job = data.draw(st.sampled_from(sorted(self.known)))
        (letter,) = self.store.letters.read([self.named(job)])
        self.read.append((job, letter))

    @precondition(lambda self: self.read)
    @rule(data=st.data(), again=st.booleans(), times=st.integers(1, 2))
    def replay(self, data: Any, again: bool, times: int) -> None:
        """Replay what was read, as often as that is asked in one step."""
        job, letter = data.draw(st.sampled_from(self.read))
        known = self.known.get(job)
        fits = known is not None and (known.number, known.replays) == (letter.id, letter.replays)
        fits = fits and known is not None and (again or not known.replaying)
        asked = replay_of(letter, self.store.new_tag(), again=again)
        assert self.store.letters.replay([asked] * times) == ([letter.id] if fits else [])
        if fits and known is not None:
            self.known[job] = replace(known, replays=known.replays + 1, replaying=True)
            self.replayed.append(Replayed(job, asked.message.payload, known.errors, known.replays + 1))
            self.sent[job] += 1

    @precondition(lambda self: self.replayed)
    @rule(data=st.data(), how=st.sampled_from(["succeed", "stop", "fail"]))
    def end_replay(self, data: Any, how: str) -> None:
        one = data.draw(st.sampled_from(self.replayed))
        self.replayed.remove(one)
        known = self.known.get(one.job)
        if how == "fail":
            self.bury(one.job, one.message, one.errors, one.replays)
            return
        self.store.write(ReplayEnd(self.named(one.job), closed=how == "succeed"))
        if known is None:
            return
        if how == "succeed":
            del self.known[one.job]
        else:
            self.known[one.job] = replace(known, replaying=False)

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def drop(self, data: Any) -> None:
        job, letter = data.draw(st.sampled_from(self.read))
        known = self.known.get(job)
        there = known is not None and known.number == letter.id
        assert self.store.letters.drop([letter.id]) == int(there)
        if there:
            del self.known[job]

    @invariant()
    def letters_agree(self) -> None:
        found = self.store.letters.read([self.named(job) for job in ("j0", "j1", "j2")])
        assert {one.key: self.told(one) for one in found} == {
            self.named(job): (known.number, known.errors, known.replays, known.replaying)
            for job, known in self.known.items()
        }
        assert [one.id for one in found] == sorted((one.number for one in self.known.values()), reverse=True)
        for job, known in self.known.items():
            assert len(self.store.letters.find(LetterFilter(queue=self.named(job), replaying=known.replaying))) == 1

    def told(self, letter: DeadLetter) -> tuple[int, tuple[str, ...], int, bool]:
        """Return of a letter what the model knows."""
        errors = tuple(one.message for one in failures_in(letter.failures))
        return (letter.id, errors, letter.replays, letter.replaying)

    @invariant()
    def messages_agree(self) -> None:
        """Each replay is one message; nobody takes them here."""
        for job, sent in self.sent.items():
            assert self.store.waiting(self.named(job)) == sent

    def teardown(self) -> None:
        self.store.letters.drop([known.number for known in self.known.values()])


def test_c36_letters_keep_to_the_model(scene: Scene) -> None:
    hold_against(Letters, scene)
