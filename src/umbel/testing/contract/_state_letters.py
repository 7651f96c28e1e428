"""Dead letters in a state store beside a broker: a replay's message stands in the outbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from umbel.engine.burial import letter_of, replay_of
from umbel.engine.failures import failures_in
from umbel.engine.letters import ANY, LetterFilter, LetterLimits
from umbel.engine.rabbit_wire import keyed
from umbel.engine.registry import open_state
from umbel.engine.store import DeadLetter, Delivery, Record, ReplayEnd, Settled
from umbel.testing.contract._state_suite import STATE_QUEUE, StateSuite
from umbel.testing.contract._suite import payload

__all__ = ("StateLetters",)


class StateLetters(StateSuite):
    """C35, C36: as :class:`Letters` has it, as far as it is the store's."""

    def dead(self, key: str, reason: str = "why", *, error: BaseException | None = None, **headers: Any) -> DeadLetter:
        """Let a job that nobody holds fail for good; return its letter as the store has it."""
        delivery = Delivery(1, STATE_QUEUE, payload(key, **headers), 1, task_id=key)
        letter = letter_of(delivery, reason, error=error, release="v7")
        self.state.settle("one", [Settled(letter=letter, records=[_failure(key)])], crash_limit=2)
        found: DeadLetter
        (found,) = self.state.letters.read([key])
        return found

    def replay(self, *letters: DeadLetter, again: bool = False) -> list[int]:
        """Replay letters; return their numbers."""
        asked = [replay_of(letter, 0, again=again) for letter in letters]
        done = self.state.replay([_with_key(one) for one in asked])
        return [number for number, _ in done]

    def test_c35_a_letter_holds_everything(self) -> None:
        letter = self.dead("a", "odd \0 \ud800", error=ValueError("x"), umbel_owner="ann")
        assert (letter.task_id, letter.task, letter.queue, letter.owner) == ("a", "shop.greet", STATE_QUEUE, "ann")
        assert (letter.exception, letter.release, letter.replays, letter.replaying) == ("ValueError", "v7", 0, False)
        assert letter.fingerprint
        assert letter.died > 0
        assert [failure.message for failure in failures_in(letter.failures)] == ["x"]
        assert self.state.letters.get(letter.id) == letter
        assert self.state.letters.find() == [letter]
        assert self.state.read(["a"])[0].state == "FAILURE"

    def test_c35_a_letter_goes_with_its_claim(self) -> None:
        delivery = Delivery(1, STATE_QUEUE, payload("a"), 1, task_id="a")
        entry = Settled(1, "ack", letter_of(delivery, "why"))
        assert self.state.settle("one", [entry], crash_limit=2).refused == (entry,)
        assert self.state.letters.find() == []

    def test_c35_letters_are_found_in_either_order(self) -> None:
        self.dead("a", error=ValueError("x"))
        self.dead("b", error=KeyError("x"))
        c = self.dead("c", error=UnicodeError("x"), umbel_owner="ann")
        assert self.state.letters.count() == 3
        find = self.state.letters.find
        for wanted in (
            ANY,
            LetterFilter(exception="KeyError"),
            LetterFilter(owner="ann", release="v7", queue=STATE_QUEUE, task="shop.greet"),
            LetterFilter(since=c.died, before=c.died + 1, replaying=False, fewer_than=1),
            LetterFilter(numbers=(c.id, c.id - 1, 10**15)),
            LetterFilter(numbers=()),
            LetterFilter(fingerprint=c.fingerprint),
        ):
            assert find(wanted) == [one for one in find() if wanted.fits(one)]
        assert [one.key for one in find(LetterFilter(exception="Error"))] == []
        assert [one.key for one in find(limit=2, after=c.id)] == ["b", "a"]
        assert [one.key for one in find(limit=2, oldest=True)] == ["a", "b"]
        assert [one.key for one in find(after=find(limit=1, oldest=True)[0].id, oldest=True)] == ["b", "c"]
        assert self.state.letters.drop([c.id, c.id + 1000]) == 1
        assert [one.key for one in find()] == ["b", "a"]

    def test_c36_a_replay_stands_in_the_outbox_and_is_marked_once(self) -> None:
        letter = self.dead("a")
        assert self.replay(letter, letter) == [letter.id]
        assert self.replay(letter) == []
        (posted,) = self.state.outbox()
        assert (posted.message.task_id, posted.message.queue) == ("a", STATE_QUEUE)
        assert self.state.locate("a") is not None
        (marked,) = self.state.letters.find()
        assert (marked.id, marked.replays, marked.replaying) == (letter.id, 1, True)
        assert self.replay(marked) == []
        assert self.replay(marked, again=True) == [letter.id]

    def test_c36_the_ends_of_replays(self) -> None:
        letter = self.dead("a")
        self.replay(letter)
        self.state.settle("one", [Settled(letter=ReplayEnd("a", closed=False))], crash_limit=2)
        (stopped,) = self.state.letters.find()
        assert (stopped.replays, stopped.replaying) == (1, False)
        self.replay(stopped)
        again = self.dead("a", "again")
        assert again.id > letter.id
        assert (again.reason, again.replays, again.replaying) == ("again", 2, False)
        self.state.settle("one", [Settled(letter=ReplayEnd("a")), Settled(letter=ReplayEnd("b"))], crash_limit=2)
        assert self.state.letters.find() == []

    def test_c35_letters_above_the_limits_go(self) -> None:
        for key in "abcd":
            self.dead(key)
        few = open_state(self.url, keep=LetterLimits(most=2))
        few.sweep()
        assert [one.key for one in few.letters.find()] == ["d", "c"]
        few.close()
        none = open_state(self.url, keep=LetterLimits(seconds=0))
        assert none.letters.prune() == 2
        none.close()


def _with_key(one: Any) -> Any:
    return replace(one, message=keyed(one.message)[0].message)


def _failure(task_id: str) -> Record:
    return Record(task_id, "FAILURE", True, "{}")
