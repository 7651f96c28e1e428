"""An effect by its key happens once, and what was interrupted is known to be so (C32)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from umbel.state.effects import Answer, Bid, Claimant, Effects, Ending, Standing
from umbel.testing.contract._suite import Suite, until

__all__ = ("EffectPromises", "EngineEffects")

_THREADS: Final = 50
_MINE: Final = Answer(Standing.MINE, held=True)
_UNCERTAIN: Final = Answer(Standing.UNCERTAIN)


def _who(owner: str, run: str = "1", again: str = "") -> Claimant:
    return Claimant(owner, f"{owner}-{run}", f"{owner}-{run}{again}")


class EffectPromises:
    """C32, whoever keeps the effects."""

    def effects(self) -> Effects:
        """Return the effects of an empty store."""
        raise NotImplementedError

    def test_c32_the_first_one_causes_it_and_others_get_its_result(self) -> None:
        effects = self.effects()
        assert effects.claim("a", _who("one"), 60) == _MINE
        second = effects.claim("a", _who("two"), 60)
        assert (second.standing, second.held) == (Standing.RUNNING, False)
        assert 50 < second.seconds <= 60
        assert effects.claim("b", _who("two"), 60) == _MINE, "another key"
        assert not effects.complete("a", "two-1", "2", 60), "it is not its own"
        assert effects.complete("a", "one-1", '{"x": "é"}', 60)
        for who in ("one", "two"):
            assert effects.claim("a", _who(who, "2"), 60) == Answer(Standing.DONE, result='{"x": "é"}')

    def test_c32_each_question_may_be_asked_twice(self) -> None:
        effects = self.effects()
        assert effects.claim("a", _who("one"), 60) == _MINE
        assert effects.claim("a", _who("one"), 60) == _MINE
        assert effects.complete("a", "one-1", "1", 60)
        assert effects.complete("a", "one-1", "1", 60)

    def test_c32_many_are_claimed_and_ended_at_once_as_one_by_one(self) -> None:
        effects = self.effects()
        assert effects.claim("b", _who("other"), 60) == _MINE
        bids = [Bid("c", _who("one"), 60), Bid("b", _who("one"), 60), Bid("a", _who("two"), 60, begun=False)]
        first, running, claimed, again = effects.claim_many([*bids, Bid("c", _who("two"), 60)])
        assert (first, claimed) == (_MINE, _MINE)
        assert (running.standing, again.standing) == (Standing.RUNNING, Standing.RUNNING)
        said = [
            Ending("c", "one-1", "complete", '"é"', 60),
            Ending("b", "one-1", "complete", "2", 60),
            Ending("a", "two-1", "begin"),
            Ending("a", "two-1", "doubt"),
            Ending("b", "other-1", "release"),
            Ending("c", "one-1", "release"),
        ]
        assert effects.end_many(said) == [True, False, True, True, True, False]
        done, free, unknown = effects.claim_many([Bid(name, _who("three"), 60) for name in "cba"])
        assert (done, free, unknown) == (Answer(Standing.DONE, result='"é"'), _MINE, _UNCERTAIN)
        assert (effects.claim_many([]), effects.end_many([])) == ([], [])

    def test_c32_two_claims_of_one_execution_are_two(self) -> None:
        effects = self.effects()
        assert effects.claim("a", _who("one", again="x"), 60) == _MINE
        assert effects.claim("a", _who("one", again="y"), 60).standing is Standing.RUNNING

    def test_c32_a_failed_one_releases_the_key(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 60)
        assert not effects.release("a", "two-1")
        assert effects.release("a", "one-1")
        assert not effects.release("a", "one-1")
        assert effects.claim("a", _who("two"), 60) == _MINE

    def test_c32_a_result_is_kept_for_its_time(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 60)
        effects.complete("a", "one-1", "1", 0.02)
        until(lambda: effects.claim("a", _who("two"), 60) == _MINE, "the end of a result")

    def test_c32_what_a_dead_owner_had_begun_is_uncertain(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 0.02)
        until(lambda: effects.claim("a", _who("two"), 60) == _UNCERTAIN, "the end of a lease")
        assert effects.claim("a", _who("three"), 60) == _UNCERTAIN
        (found,) = effects.uncertain()
        assert (found.name, found.owner) == ("a", "one")
        assert abs(time.time() - found.since) < 60

    def test_c32_a_job_that_runs_again_knows_at_once_that_it_was_interrupted(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 60)
        assert effects.claim("a", _who("one", "2"), 60) == _UNCERTAIN
        assert [found.name for found in effects.uncertain()] == ["a"]

    def test_c32_what_was_claimed_only_is_anybodys(self) -> None:
        effects = self.effects()
        assert effects.claim("a", _who("one"), 60, begun=False) == _MINE
        assert effects.claim("a", _who("two"), 60).standing is Standing.RUNNING
        assert effects.claim("a", _who("one", "2"), 60, begun=False) == _MINE, "it runs again"
        assert not effects.begin("a", "one-1"), "the first execution has lost it"
        assert effects.begin("a", "one-2")
        assert effects.claim("a", _who("one", "3"), 60) == _UNCERTAIN
        assert effects.claim("b", _who("one"), 0.02, begun=False) == _MINE
        until(lambda: effects.claim("b", _who("two"), 60) == _MINE, "the end of a claim")
        assert not effects.begin("b", "one-1")

    def test_c32_who_asks_has_it_meanwhile(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 60)
        asked = Answer(Standing.UNCERTAIN, held=True)
        assert effects.claim("a", _who("one", "2"), 60, doubtful="take") == asked
        assert effects.claim("a", _who("one", "2"), 60, doubtful="take") == asked, "its answer was lost"
        assert effects.claim("a", _who("two"), 60, doubtful="take").standing is Standing.RUNNING
        assert not effects.complete("a", "one-1", "1", 60), "the first execution has lost it"
        assert effects.begin("a", "one-2")
        assert effects.claim("a", _who("one", "2"), 60, doubtful="take") == _MINE
        assert effects.complete("a", "one-2", "2", 60)
        assert effects.uncertain() == []

    def test_c32_who_dies_asking_leaves_it_uncertain(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 60)
        effects.claim("a", _who("one", "2"), 0.02, doubtful="take")
        until(lambda: effects.claim("a", _who("two"), 60) == _UNCERTAIN, "the end of a lease")

    def test_c32_with_another_side_that_knows_it_is_repeated(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 60)
        assert effects.claim("a", _who("one", "2"), 60, doubtful="repeat") == _MINE
        assert effects.claim("a", _who("two"), 60, doubtful="repeat").standing is Standing.RUNNING

    def test_c32_who_was_taken_for_dead_knows_better(self) -> None:
        effects = self.effects()
        for name in "ab":
            effects.claim(name, _who("one"), 60)
            assert effects.claim(name, _who("one", "2"), 60) == _UNCERTAIN
        assert effects.complete("a", "one-1", "1", 60)
        assert effects.release("b", "one-1")
        assert effects.claim("a", _who("two"), 60) == Answer(Standing.DONE, result="1")
        assert effects.claim("b", _who("two"), 60) == _MINE
        assert effects.uncertain() == []

    def test_c32_its_owner_may_say_that_nobody_knows(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 60)
        assert not effects.doubt("a", "two-1")
        assert effects.doubt("a", "one-1")
        assert not effects.doubt("a", "one-1")
        assert effects.claim("a", _who("two"), 60) == _UNCERTAIN
        effects.claim("c", _who("one"), 0.05, begun=False)
        assert effects.doubt("c", "one-1")
        effects.claim("d", _who("one"), 0.06, begun=False)
        until(lambda: effects.claim("d", _who("two"), 60) == _MINE, "the end of a later claim")
        assert effects.claim("c", _who("two"), 60) == _UNCERTAIN, "it does not end with the claim"

    def test_c32_a_person_says_what_an_uncertain_one_is(self) -> None:
        effects = self.effects()
        for name in "abc":
            effects.claim(name, _who("one"), 60)
            assert not effects.resolve(name, "1", 60), "it runs"
        for name in "ab":
            effects.doubt(name, "one-1")
        assert effects.resolve("a", "7", 60)
        assert effects.resolve("b", None, 60)
        assert not effects.resolve("a", None, 60)
        assert effects.claim("a", _who("two"), 60) == Answer(Standing.DONE, result="7")
        assert effects.claim("b", _who("two"), 60) == _MINE
        assert effects.uncertain() == []

    def test_c32_a_renewed_claim_lasts(self) -> None:
        effects = self.effects()
        effects.claim("a", _who("one"), 5)
        effects.claim("b", _who("one"), 5, begun=False)
        held = [("a", "one-1"), ("a", "two-1"), ("b", "one-1"), ("c", "one-1")]
        assert effects.renew(held, 600) == [True, False, True, False]
        for name in "ab":
            assert effects.claim(name, _who("two"), 60).seconds > 500
        effects.doubt("a", "one-1")
        effects.complete("b", "one-1", "1", 60)
        assert effects.renew(held[:1] + held[2:3], 600) == [False, False]

    def test_c32_of_threads_that_race_one_causes_it(self) -> None:
        effects = self.effects()
        with ThreadPoolExecutor(_THREADS) as threads:
            found = list(threads.map(lambda one: effects.claim("a", _who(f"t{one}"), 60).standing, range(_THREADS)))
        assert found.count(Standing.MINE) == 1
        assert found.count(Standing.RUNNING) == _THREADS - 1


class EngineEffects(Suite, EffectPromises):
    """C32, of an engine."""

    def effects(self) -> Effects:
        return self.engine.effects

    def test_c32_what_has_ended_is_swept_and_what_is_uncertain_is_not(self) -> None:
        effects = self.engine.effects
        for name in "ab":
            effects.claim(name, _who("one"), 60, begun=True)
        effects.complete("a", "one-1", "1", 0.02)
        effects.doubt("b", "one-1")
        # The last one's ends last.
        for name in "dc":
            effects.claim(name, _who("one"), 0.02, begun=name == "c")
        until(lambda: effects.claim("c", _who("two"), 60) == _UNCERTAIN, "the end of a lease")
        self.engine.sweep()
        assert sorted(found.name for found in effects.uncertain()) == ["b", "c"]
        assert effects.claim("a", _who("two"), 60) == _MINE
        assert effects.claim("d", _who("two"), 60) == _MINE
