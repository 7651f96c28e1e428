"""Dead letters: one a job, written with its end, found, dropped and replayed."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator

from umbel.engine.burial import REPLAY, letter_of, replay_of
from umbel.engine.failures import FAILURES, failures_in
from umbel.engine.letters import LetterFilter, LetterLimits, Replay
from umbel.engine.store import DeadLetter, Outgoing, Record, ReplayEnd, Settled
from umbel.testing.contract._suite import QUEUE, Suite, end, ids, payload

__all__ = ("Letters",)


class Letters(Suite):
    """C35, C36: what failed for good is one letter, and is dispatched once for each replay."""

    def letter(self, task_id: str) -> DeadLetter:
        """Return the letter of a job, which must have one."""
        (found,) = self.engine.letters.read([task_id])
        return found

    def die(self, *task_ids: str, error: BaseException | None = None, queue: str = QUEUE, **headers: object) -> None:
        """Let jobs fail for good, one after the other."""
        for task_id in task_ids:
            self.put(task_id, queue=queue, headers=headers)
            self.bury(self.get(queue=queue)[0], error=error)

    def asked(self, task_id: str, *, again: bool = False) -> Replay:
        """Return a replay of the letter as it is now."""
        return replay_of(self.letter(task_id), self.engine.new_tag(), again=again)

    @contextlib.contextmanager
    def keeping(self, limits: LetterLimits) -> Iterator[None]:
        """Let the engine keep no more than this."""
        known, self.engine.letters.limits = self.engine.letters.limits, limits
        try:
            yield
        finally:
            self.engine.letters.limits = known

    # -- one letter a job -------------------------------------------------------------------------------------

    def test_c35_a_letter_is_written_with_the_end_and_holds_everything(self) -> None:
        self.put("a", headers={"task": "shop.bill", "umbel_owner": "ann", "retries": 2})
        delivery = self.get_one()
        error = ValueError("no money")
        letter = letter_of(delivery, error=error, traceback="Traceback: here", release="v7")
        self.engine.settle([Settled(delivery.seq, "ack", letter, records=[end(delivery, "FAILURE")])])
        assert self.state("a") == "FAILURE"
        assert self.engine.locate("a") is None
        (found,) = self.engine.dead()
        assert found == self.letter("a") == self.engine.letters.get(found.id)
        assert (found.key, found.task_id, found.task, found.queue, found.owner) == ("a", "a", "shop.bill", QUEUE, "ann")
        assert (found.reason, found.exception, found.release) == ("ValueError: no money", "ValueError", "v7")
        assert (found.deliveries, found.replays, found.replaying) == (1, 0, False)
        assert found.fingerprint == letter.fingerprint
        assert found.died >= delivery.enqueued
        assert json.loads(found.payload) == json.loads(delivery.payload)
        (failure,) = failures_in(found.failures)
        assert (failure.exception, failure.message, failure.traceback) == ("ValueError", "no money", "Traceback: here")
        assert (failure.attempt, failure.release) == (2, "v7")

    def test_c35_letters_are_counted(self) -> None:
        assert self.engine.letters.count() == 0
        self.die("a", "b", "c")
        assert self.engine.letters.count() == 3
        self.engine.letters.drop([self.letter("b").id])
        assert self.engine.letters.count() == 2

    def test_c35_what_is_no_text_and_no_job_is_a_letter_too(self) -> None:
        self.engine.enqueue([Outgoing(QUEUE, "no JSON at all")])
        letter = self.bury(self.get_one(), "damaged \ud800 and \0 odd")
        assert (letter.task_id, letter.task, letter.payload) == (None, None, "no JSON at all")
        assert letter.reason.startswith("damaged ")
        assert self.letter(letter.key) == letter

    def test_c35_a_job_that_was_acknowledged_early_leaves_its_letter(self) -> None:
        self.put("a")
        delivery = self.get_one()
        self.engine.settle([Settled(delivery.seq, "ack")])
        self.engine.settle([Settled(letter=letter_of(delivery, "late"), records=[end(delivery, "FAILURE")])])
        assert (self.letter("a").reason, self.state("a")) == ("late", "FAILURE")

    def test_c35_a_stale_owner_leaves_no_letter(self) -> None:
        self.put("a")
        stale = self.get_one()
        self.engine.settle([Settled(stale.seq, "requeue")])
        entry = Settled(stale.seq, "ack", letter_of(stale, "why"), records=[end(stale, "FAILURE")])
        assert self.engine.settle([entry]).refused == (entry,)
        assert self.engine.dead() == []

    def test_c35_a_cancelled_job_leaves_no_letter(self) -> None:
        """Cancelled while it ran: the failure that this causes is none."""
        self.put("a")
        delivery = self.get_one()
        self.engine.cancel("a", Record("a", "REVOKED", True, "{}"))
        self.engine.settle(
            [Settled(delivery.seq, "ack", letter_of(delivery, "why"), records=[end(delivery, "FAILURE")])]
        )
        assert (self.engine.dead(), self.state("a")) == ([], "REVOKED")

    def test_c35_a_job_that_dies_again_has_one_letter_with_a_new_number(self) -> None:
        self.die("a", "b")
        first = self.letter("a")
        self.put("a")
        self.bury(self.get_one(), "again")
        second = self.letter("a")
        assert second.id > self.letter("b").id > first.id
        assert second.reason == "again"
        assert [one.key for one in self.engine.dead()] == ["a", "b"]
        assert self.engine.letters.get(first.id) is None

    def test_c35_a_number_is_never_given_twice(self) -> None:
        """Also when the newest letter is gone: who drops it by its number must not meet another job's."""
        self.die("a", "b")
        gone = self.letter("b").id
        assert self.engine.letters.drop([gone]) == 1
        self.die("a")
        self.die("c")
        assert self.letter("c").id > self.letter("a").id > gone
        assert self.engine.letters.drop([gone]) == 0

    def test_c35_letters_that_are_too_many_go(self) -> None:
        self.die("a", "b", "c", "d", "e")
        with self.keeping(LetterLimits(most=3)):
            self.engine.sweep()
            assert [one.key for one in self.engine.dead()] == ["e", "d", "c"]
            assert self.engine.letters.prune() == 0

    def test_c35_letters_that_are_too_old_go(self) -> None:
        self.die("a", "b")
        with self.keeping(LetterLimits(seconds=0.0)):
            assert self.engine.letters.prune() == 2
            assert self.engine.dead() == []

    # -- finding ----------------------------------------------------------------------------------------------

    def test_c35_letters_are_found_by_what_they_are(self) -> None:
        self.die("a", error=ValueError("x"), task="shop.one")
        self.die("b", error=json.JSONDecodeError("x", "", 0), task="shop.two", umbel_owner="ann")
        self.die("c", queue="email", error=KeyError("x"), task="shop.two")
        a, b = self.letter("a"), self.letter("b")
        expected = {
            LetterFilter(numbers=(a.id, b.id, 10**15)): "ba",
            LetterFilter(numbers=()): "",
            LetterFilter(numbers=(a.id, b.id), owner="ann"): "b",
            LetterFilter(queue="email"): "c",
            LetterFilter(task="shop.two"): "cb",
            LetterFilter(exception="ValueError"): "a",
            LetterFilter(exception="JSONDecodeError"): "b",
            LetterFilter(exception="json.decoder.JSONDecodeError"): "b",
            LetterFilter(exception="Error"): "",
            LetterFilter(fingerprint=a.fingerprint): "a",
            LetterFilter(owner="ann"): "b",
            LetterFilter(release="v1"): "",
            LetterFilter(since=b.died): "cb",
            LetterFilter(before=b.died): "a",
            LetterFilter(replaying=False, fewer_than=1): "cba",
            LetterFilter(replaying=True): "",
            LetterFilter(fewer_than=0): "",
            LetterFilter(task="shop.two", queue=QUEUE): "b",
        }
        for wanted, keys in expected.items():
            found = self.engine.letters.find(wanted)
            assert "".join(one.key for one in found) == keys, wanted
            assert [one for one in self.engine.dead() if wanted.fits(one)] == found, wanted
        chosen = LetterFilter(numbers=(a.id, b.id))
        assert [one.key for one in self.engine.letters.find(chosen, oldest=True)] == ["a", "b"]
        assert [one.key for one in self.engine.letters.find(chosen, after=b.id)] == ["a"]

    def test_c35_a_page_begins_after_a_number(self) -> None:
        self.die(*"abcde")
        letters = self.engine.letters
        for oldest, order in ((False, "edcba"), (True, "abcde")):
            seen, after = "", None
            while page := letters.find(limit=2, after=after, oldest=oldest):
                seen, after = seen + "".join(one.key for one in page), page[-1].id
            assert seen == order

    def test_c35_letters_are_dropped_by_their_numbers(self) -> None:
        self.die("a", "b", "c")
        a, b = self.letter("a"), self.letter("b")
        assert self.engine.letters.drop([a.id, b.id, 10**9]) == 2
        assert self.engine.letters.drop([a.id]) == 0
        assert [one.key for one in self.engine.dead()] == ["c"]
        assert self.engine.letters.read(["a", "b", "unheard of"]) == []

    # -- replaying --------------------------------------------------------------------------------------------

    def test_c36_a_replay_is_the_job_again_and_its_letter_stays(self) -> None:
        self.die("a", error=ValueError("x"), retries=3, eta="2020-01-01T00:00:00+00:00")
        letter = self.letter("a")
        assert self.engine.letters.replay([self.asked("a")]) == [letter.id]
        kept = self.letter("a")
        assert (kept.id, kept.replays, kept.replaying) == (letter.id, 1, True)
        assert self.engine.locate("a") is not None
        delivery = self.get_one()
        headers = json.loads(delivery.payload)["headers"]
        assert (delivery.task_id, headers["retries"], headers["eta"]) == ("a", 0, None)
        assert headers[REPLAY] == "1 a"
        assert [failure.message for failure in failures_in(headers[FAILURES])] == ["x"]

    def test_c36_a_letter_is_replayed_once_however_often_that_is_asked(self) -> None:
        self.die("a")
        asked = self.asked("a")
        assert len(self.engine.letters.replay([asked, asked])) == 1
        assert self.engine.letters.replay([asked]) == []
        assert self.engine.letters.replay([self.asked("a")]) == [], "its replay is on its way"
        assert ids(self.get()) == ["a"]

    def test_c36_whoever_read_a_letter_before_it_died_again_replays_nothing(self) -> None:
        self.die("a")
        stale = self.asked("a")
        self.engine.letters.replay([stale])
        self.bury(self.get_one(), "again")
        assert self.engine.letters.replay([stale]) == []
        assert self.engine.letters.replay([self.asked("a")]) == [self.letter("a").id]
        gone = self.asked("a", again=True)
        self.engine.letters.drop([gone.letter.id])
        assert self.engine.letters.replay([gone]) == []
        assert ids(self.get()) == ["a"]

    def test_c36_a_replay_that_is_known_to_be_lost_is_replayed_again(self) -> None:
        self.die("a")
        self.engine.letters.replay([self.asked("a")])
        self.engine.purge(QUEUE)
        assert self.engine.letters.replay([self.asked("a", again=True)]) == [self.letter("a").id]
        assert self.letter("a").replays == 2
        assert ids(self.get()) == ["a"]

    def test_c36_success_closes_a_letter(self) -> None:
        self.die("a", "b")
        self.engine.letters.replay([self.asked("a")])
        delivery = self.get_one()
        self.engine.settle([Settled(delivery.seq, "ack", ReplayEnd("a"), records=[end(delivery)])])
        assert [one.key for one in self.engine.dead()] == ["b"]
        assert self.state("a") == "SUCCESS"

    def test_c36_a_replay_that_was_stopped_leaves_its_letter_to_be_replayed(self) -> None:
        self.die("a")
        self.engine.letters.replay([self.asked("a")])
        self.engine.settle([Settled(self.get_one().seq, "ack", ReplayEnd("a", closed=False))])
        assert (self.letter("a").replaying, self.letter("a").replays) == (False, 1)
        assert len(self.engine.letters.replay([self.asked("a")])) == 1

    def test_c36_the_end_of_an_unknown_replay_changes_nothing(self) -> None:
        self.die("a")
        self.engine.settle([Settled(letter=ReplayEnd("b")), Settled(letter=ReplayEnd("c", closed=False))])
        assert [one.key for one in self.engine.dead()] == ["a"]

    def test_c36_a_failure_writes_the_letter_again_with_all_attempts(self) -> None:
        self.die("a", error=ValueError("one"))
        for number in range(2, 4):
            self.engine.letters.replay([self.asked("a")])
            self.bury(self.get_one(), error=ValueError(str(number)))
        letter = self.letter("a")
        assert (letter.replays, letter.replaying) == (2, False)
        assert [failure.message for failure in failures_in(letter.failures)] == ["one", "2", "3"]
        assert FAILURES not in letter.payload, "the attempts stand in the letter once"
        assert REPLAY not in letter.payload

    def test_c36_replays_are_counted_although_the_letter_was_dropped_meanwhile(self) -> None:
        self.die("a")
        self.engine.letters.replay([self.asked("a")])
        self.engine.letters.drop([self.letter("a").id])
        self.bury(self.get_one(), "again")
        assert self.letter("a").replays == 1

    def test_c36_a_message_without_an_id_keeps_its_letter(self) -> None:
        bare = json.loads(payload("x"))
        bare["headers"] = {"task": "shop.greet"}
        self.engine.enqueue([Outgoing(QUEUE, json.dumps(bare))])
        letter = self.bury(self.get_one(), "one")
        assert self.engine.letters.replay([replay_of(letter, self.engine.new_tag())]) == [letter.id]
        self.bury(self.get_one(), "two")
        (found,) = self.engine.dead()
        assert (found.key, found.reason, found.replays) == (letter.key, "two", 1)

    # -- races ------------------------------------------------------------------------------------------------

    def test_c36_processes_that_race_replay_each_letter_once(self) -> None:
        names = [f"job-{number}" for number in range(24)]
        self.die(*names)
        asked = [self.asked(name) for name in names]
        peers = [self.peer("nothing") for _ in range(3)]
        for peer in peers:
            for start in range(0, len(asked), 6):
                peer.ask("letters.replay", asked[start : start + 6])
        done = Counter(number for peer in peers for _ in range(0, len(asked), 6) for number in peer.answer())
        assert set(done.values()) == {1}
        assert len(done) == len(names)
        assert sorted(map(str, ids(self.get()))) == sorted(names)

    def test_c36_threads_that_race_replay_each_letter_once(self) -> None:
        self.die(*"abcdef")
        asked = [self.asked(name) for name in "abcdef"]
        done: list[int] = []
        threads = [
            threading.Thread(target=lambda: done.extend(n for one in asked for n in self.engine.letters.replay([one])))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == sorted(one.letter.id for one in asked)
        assert len(self.get()) == 6

    def test_c36_a_killed_process_leaves_a_letter_and_its_message_as_one(self) -> None:
        """Whenever it dies: those are queued that are marked, and no others."""
        names = [f"job-{number}" for number in range(30)]
        self.die(*names)
        asked = [self.asked(name) for name in names]
        for cut in range(3):
            peer = self.peer("nothing")
            for one in asked[cut * 10 : cut * 10 + 10]:
                peer.ask("letters.replay", [one])
            for _ in range(2 * cut + 1):
                peer.answer()
            peer.kill()
        marked = [one.key for one in self.engine.letters.find(LetterFilter(replaying=True))]
        assert len(marked) >= 9
        assert sorted(map(str, ids(self.get()))) == sorted(marked)
