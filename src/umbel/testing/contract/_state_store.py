"""What a state store promises, that is kept beside a broker which keeps messages only."""

from __future__ import annotations

import json
import os
import threading
import time
from functools import cached_property
from typing import Any, Final

from umbel.engine.batches import DONE, Batches, MemberEnd
from umbel.engine.headers import CALLBACK
from umbel.engine.state import Claim, Keyed, LeaseEnded, Verdict
from umbel.engine.store import ChordPart, Outgoing, Record, Settled
from umbel.testing.contract._batches import BatchPromises, BesideBatches
from umbel.testing.contract._state_events import StateEvents
from umbel.testing.contract._state_lanes import StateLanes
from umbel.testing.contract._state_letters import StateLetters
from umbel.testing.contract._state_primitives import StatePrimitives
from umbel.testing.contract._state_uniques import StateUniques
from umbel.testing.contract._suite import payload

__all__ = ("StateContract",)

_QUEUE: Final = "default"


class StateContract(StateLanes, StateLetters, StateUniques, StateEvents, StatePrimitives, BatchPromises):
    """All that a state store promises. Set ``url`` before each test to an empty store."""

    def forget(self, task_id: str) -> None:
        self.settle(Settled(forget=task_id))

    # -- batches ----------------------------------------------------------------------------------------------

    @cached_property
    def _beside(self) -> BesideBatches:
        return BesideBatches(self.state.batches)

    def batches(self) -> Batches:
        return self._beside

    def count(self, *ends: MemberEnd) -> None:
        entries = [Settled(end=one) for one in ends]
        self._beside.posted += self.state.settle("one", entries, crash_limit=2).posted

    def queued(self) -> list[str]:
        posted, self._beside.posted = self._beside.posted, []
        found = {one.number: one.message for one in self.state.outbox()}
        assert [found[one.number] for one in posted] == [one.message for one in posted], "the outbox has what is told"
        return [str(one.message.task_id) for one in posted]

    def test_c18_a_member_is_counted_with_its_claims_end(self) -> None:
        batches = self.begin(1)
        self.claim("m0")
        assert self.settle(Settled(1, "ack", end=MemberEnd("b", "m0", DONE)), "two").refused
        assert self.counts() == (1, 0, 0, 0, 1)
        assert [
            one.message.task_id for one in self.settle(Settled(1, "ack", end=MemberEnd("b", "m0", DONE))).posted
        ] == [
            "then",
            "finally",
        ]
        assert list(batches.pending("b")) == []

    def test_c22_many_jobs_are_cancelled_in_one_step(self) -> None:
        self.begin(3)
        self.claim("m0")
        self.settle(Settled(1, "ack", records=[Record("m0", "SUCCESS", True, "{}")]))
        self.claim("m1", seq=2)
        self.batches().stop([Record(name, "REVOKED", True, "{}") for name in ("m0", "m1", "m2")])
        assert {one.task_id: one.state for one in self.state.read(["m0", "m1", "m2"])} == {
            "m0": "SUCCESS",
            "m1": "REVOKED",
            "m2": "REVOKED",
        }
        assert self.state.cancelled_of("one") == ["m1"]
        assert self.claim("m2", seq=3).cancelled

    def test_c22_a_job_that_was_cancelled_meanwhile_is_not_done(self) -> None:
        self.begin(1)
        self.claim("m0")
        self.state.cancel("m0", None)
        self.settle(Settled(1, "ack", end=MemberEnd("b", "m0", DONE)))
        assert self.counts() == (1, 0, 0, 1, 0)

    # -- dispatch ---------------------------------------------------------------------------------------------

    def test_c20_a_dispatched_job_is_known_until_it_has_ended(self) -> None:
        known = self.note("a", "b", priority=3)
        found = self.state.locate("a")
        assert found is not None
        assert (found.queue, found.task, found.lease, found.priority) == (_QUEUE, "shop.greet", None, 3)
        self.state.unnote(known[1:])
        assert self.state.locate("b") is None
        answer = self.claim("a")
        found = self.state.locate("a")
        assert found is not None
        assert found.lease is not None
        assert answer.enqueued == found.enqueued > 0
        self.settle(Settled(1, "ack"))
        assert self.state.locate("a") is None
        assert self.state.queue_names() == [_QUEUE]

    def test_c16_what_is_delayed_is_counted_and_can_be_dropped(self) -> None:
        self.note("a", "b", due=time.time() + 100)
        self.note("c")
        found = self.state.locate("a")
        assert found is not None
        assert found.due is not None
        assert self.state.counts()[0].delayed == 2
        assert self.state.drop_delayed(_QUEUE) == 2
        assert self.state.counts()[0].delayed == 0
        assert self.state.locate("a") is None
        assert self.claim("a", repeated=True).verdict is Verdict.ENDED
        assert self.claim("c", repeated=True).verdict is Verdict.RUN

    # -- claims -----------------------------------------------------------------------------------------------

    def test_c15_a_message_has_one_holder(self) -> None:
        self.note("a")
        assert self.claim("a", "one", 7).verdict is Verdict.RUN
        again = self.claim("a", "one", 8)
        assert (again.verdict, again.seq) == (Verdict.MINE, 7)
        assert self.claim("a", "two").verdict is Verdict.HELD
        assert self.state.counts()[0].leased == 1
        assert next(one.in_flight for one in self._all_workers() if one.hostname == "one@test") == 1

    def _all_workers(self) -> Any:
        self.state.leases.is_alive = lambda info: True  # type: ignore[method-assign]
        return self.state.workers()

    def test_c15_what_has_ended_is_not_run_when_it_is_delivered_again(self) -> None:
        self.claim("a")
        self.settle(Settled(1, "ack"))
        assert self.claim("a", "two", 2, repeated=True).verdict is Verdict.ENDED
        assert self.claim("a", "two", 2).verdict is Verdict.RUN, "a new message of the same name"

    def test_c15_racing_processes_claim_each_message_once(self) -> None:
        keys = [f"k{number}" for number in range(40)]
        ran: list[str] = []
        for token in map(str, range(4)):
            self.state.leases.open(token, token, [_QUEUE], 1)

        def work(token: str) -> None:
            order = keys if int(token) % 2 else keys[::-1]
            for start in range(0, len(order), 10):
                claims = [Claim(start + at, key, _QUEUE, 0, key) for at, key in enumerate(order[start : start + 10])]
                answers = self.state.claim(token, claims)
                ran.extend(one.key for one, it in zip(claims, answers, strict=True) if it.verdict is Verdict.RUN)

        threads = [threading.Thread(target=work, args=(token,)) for token in map(str, range(4))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ran) == sorted(keys)

    def test_c15_a_stale_owner_settles_nothing(self) -> None:
        self.claim("a")
        assert self.release("one") == 1
        entry = Settled(1, "ack", records=[_end("a")], outgoing=[_next("b")])
        outcome = self.settle(entry)
        assert outcome.refused == (entry,)
        assert self.state.read(["a"]) == []
        assert self.state.outbox() == []
        answer = self.claim("a", "two", repeated=True)
        assert (answer.verdict, answer.deliveries) == (Verdict.RUN, 1)

    def test_c19_what_is_given_back_can_be_claimed_by_anyone(self) -> None:
        self.claim("a")
        self.settle(Settled(1, "requeue"))
        answer = self.claim("a", "two", repeated=True)
        assert (answer.verdict, answer.deliveries) == (Verdict.RUN, 1)

    def test_c17_what_had_started_when_its_process_died_is_a_suspect(self) -> None:
        for seq, key in enumerate(("a", "b", "c"), 1):
            self.claim(key, seq=seq)
        self.release("one", crashed=True, started=[1, 2])
        assert self.claim("a", "two", 1, repeated=True).verdict is Verdict.SUSPECT
        assert self.claim("c", "two", 3, repeated=True).verdict is Verdict.RUN
        assert self.state.suspects([_QUEUE]) == self.state.suspects() == self.state.counts()[0].suspect == 1
        assert self.state.suspects(["other"]) == 0
        answer = self.claim("a", "two", 4, repeated=True, alone=True)
        assert (answer.verdict, answer.condemned) == (Verdict.RUN, None)
        assert self.state.suspects() == 0

    def test_c17_only_crashes_alone_count_and_the_last_one_condemns(self) -> None:
        self.claim("a")
        self.claim("b", seq=2)
        self.release("one", crashed=True, started=[1])
        for crash in range(2):
            token = f"alone-{crash}"
            self.state.leases.open(token, token, [_QUEUE], 1)
            answer = self.claim("a", token, repeated=True, alone=True)
            assert answer.condemned is None
            self.release(token, crashed=True, started=[1])
            assert self.state.suspects([_QUEUE]) == 1, "the broker has it among the suspects still"
        answer = self.claim("a", "two", repeated=True, alone=True)
        assert self.state.suspects() == 0
        assert answer.verdict is Verdict.RUN
        assert answer.condemned == "worker lost: its process died 2 times with this job alone in it"
        letter = self.bury("a", answer.condemned, owner="two")
        assert (letter.task_id, letter.queue, letter.reason) == ("a", _QUEUE, answer.condemned)
        assert json.loads(letter.payload)["headers"]["id"] == "a"

    def test_c17_what_a_process_was_killed_for_is_condemned(self) -> None:
        self.claim("a")
        self.claim("b", seq=2)
        self.release("one", overdue=[1])
        assert "hard time limit" in (self.claim("a", "two").condemned or "")
        assert self.claim("b", "two", 2).condemned is None

    def test_c17_a_crash_of_a_prefork_child_counts(self) -> None:
        self.claim("a")
        self.settle(Settled(1, "crash"))
        assert self.claim("a", repeated=True).verdict is Verdict.SUSPECT
        self.claim("a", seq=2, repeated=True, alone=True)
        self.settle(Settled(2, "crash"))
        assert self.claim("a", repeated=True).condemned is not None

    # -- ends -------------------------------------------------------------------------------------------------

    def test_c18_an_end_is_overwritten_only_by_what_was_queued_after_it(self) -> None:
        self.settle(Settled(records=[_end("a")]))
        self.settle(Settled(records=[Record("a", "RETRY", False, "{}")]))
        (stored,) = self.state.read(["a", "unknown"])
        assert (stored.state, stored.final, stored.meta) == ("SUCCESS", True, '{"status": "SUCCESS"}')
        self.settle(Settled(records=[Record("a", "STARTED", False, b"\x80", since=stored.updated + 60)]))
        (stored,) = self.state.read(["a"])
        assert (stored.state, stored.meta) == ("STARTED", b"\x80")
        self.settle(Settled(records=[Record("a", "PROGRESS", False, "{}", first=True)]))
        assert [one.state for one in self.state.read(["a"])] == ["STARTED"]
        self.state.forget("a")
        assert self.state.read(["a"]) == []

    def test_c18_what_an_earlier_try_says_late_changes_nothing(self) -> None:
        for state, attempt, since in (("STARTED", 1, 20.0), ("RETRY", 0, 10.0), ("RETRY", 1, 15.0)):
            self.settle(Settled(records=[Record("a", state, False, "{}", attempt=attempt, since=since)]))
        assert [one.state for one in self.state.read(["a"])] == ["STARTED"]

    def test_c18_results_expire(self) -> None:
        self.settle(Settled(records=[Record("a", "SUCCESS", True, "{}", expires=time.time() - 1)]))
        time.sleep(0.01)
        assert self.state.read(["a"]) == []
        self.state.sweep()

    def test_c14_what_an_end_publishes_is_kept_until_it_is_published(self) -> None:
        self.claim("a")
        outcome = self.settle(Settled(1, "ack", outgoing=[_next("b"), _next("c")]))
        assert [one.message.task_id for one in outcome.posted] == ["b", "c"]
        assert {(one.number, one.token, one.message.payload) for one in self.state.outbox()} == {
            (one.number, "one", one.message.payload) for one in outcome.posted
        }
        assert self.state.locate("b") is not None
        self.state.posted([outcome.posted[0].number])
        assert [one.message.task_id for one in self.state.outbox()] == ["c"]

    def test_c22_a_cancellation_is_durable(self) -> None:
        self.note("a", "b")
        mark = self.state.cancel_mark()
        assert self.state.cancel("a", _end("a", "REVOKED"))
        assert self.state.cancel_mark() > mark
        found = self.state.locate("a")
        assert found is not None
        assert found.cancelled
        assert self.claim("a").cancelled
        assert not self.claim("b", seq=2).cancelled
        assert self.state.cancelled_of("one") == ["a"]
        outcome = self.settle(Settled(1, "ack", records=[_end("a")], outgoing=[_next("c")]))
        assert outcome.posted == ()
        assert self.state.read(["a"])[0].state == "REVOKED"
        assert not self.state.cancel("a", _end("a", "REVOKED"))

    def test_c5_a_chord_is_complete_once_and_its_callback_goes_once(self) -> None:
        self.state.groups.set_size("g", 2, None)
        self.state.groups.save(f"g{CALLBACK}", "kept", None)
        assert self.settle(Settled(parts=[_part("x", 0)])).complete == ()
        assert self.settle(Settled(parts=[_part("x", 0)])).complete == (), "the same member again"
        assert self.state.groups.complete(time.time() + 60, 10) == []
        (complete,) = self.settle(Settled(parts=[_part("y", 1)])).complete
        assert complete.group_id == "g"
        assert self.state.groups.complete(time.time() + 60, 10) == ["g"]
        assert [task_id for task_id, _ in self.state.groups.parts("g")] == ["x", "y"]
        first = self.settle(Settled(fired="g", outgoing=[_next("callback")]))
        again = self.settle(Settled(fired="g", outgoing=[_next("callback")]))
        assert (len(first.posted), len(again.posted)) == (1, 0)
        assert self.state.groups.complete(time.time() + 60, 10) == []
        self.settle(Settled(parts=[_part("y", 1)]))
        assert self.state.groups.parts("g") == []
        assert self.state.groups.read(f"g{CALLBACK}") is None

    def test_c5_a_chord_that_grows_waits_for_one_more(self) -> None:
        self.state.groups.set_size("g", 1, None)
        self.state.groups.grow("g", None)
        assert self.settle(Settled(parts=[_part("x", 0)])).complete == ()
        assert len(self.settle(Settled(parts=[_part("y", 1)])).complete) == 1

    def test_c5_the_shape_of_a_group_is_kept(self) -> None:
        self.state.groups.save("g", "[1]", time.time() + 60)
        found = self.state.groups.read("g")
        assert found in ("[1]", b"[1]")
        self.state.groups.forget("g")
        assert self.state.groups.read("g") is None

    # -- the rest ---------------------------------------------------------------------------------------------

    def test_c39_only_the_leader_ticks_and_each_tick_is_kept_once(self) -> None:
        first, second = self.state.leader("shop"), self.state.leader("shop")
        assert first.leads()
        assert not second.leads()
        assert first.leads()
        tick = [Keyed("t", _next("t"))]
        posted = self.state.tick(first, tick, "nightly", 12.5, 3)
        assert posted is not None
        assert [one.message.task_id for one in posted] == ["t"]
        assert [one.number for one in self.state.outbox()] == [one.number for one in posted]
        assert self.state.tick(first, tick, "nightly", 12.5, 3) == [], "the answer was lost"
        assert self.state.tick(second, tick, "nightly", 13.5, 4) is None
        assert self.state.last_ticks() == {"nightly": (12.5, 3)}
        first.resign()
        assert second.leads()
        assert self.state.tick(first, tick, "nightly", 13.5, 4) is None
        assert self.state.tick(second, tick, "nightly", 13.5, 4)
        assert self.state.last_ticks() == {"nightly": (13.5, 4)}

    def test_c39_a_leader_that_stands_still_is_replaced(self) -> None:
        first, second = self.state.leader("shop"), self.state.leader("shop")
        assert first.leads()
        assert not second.leads()
        assert not second.leads()
        second._stood = 60.0  # type: ignore[attr-defined]
        assert second.leads()
        assert not first.leads()

    def test_a_queue_can_be_paused(self) -> None:
        self.state.mark_paused(_QUEUE, paused=True)
        assert self.state.paused() == {_QUEUE}
        assert self.state.counts()[0].paused
        self.state.mark_paused(_QUEUE, paused=False)
        assert self.state.paused() == set()

    def test_c14_a_lease_that_was_renewed_meanwhile_is_not_ended(self) -> None:
        self.claim("a")
        beat = self.state.leases.beat("one")
        time.sleep(0.01)
        assert self.state.leases.renew(["one", "unknown"]) == ["unknown"]
        assert self.release("one", beat=beat) == 0
        assert self.claim("a").verdict is Verdict.MINE
        assert self.release("one", beat=self.state.leases.beat("one")) == 1

    def test_c14_a_lease_that_has_ended_claims_nothing(self) -> None:
        assert {info.token for info in self.state.leases.all()} == {"one", "two"}
        beat = self.state.leases.beat("one")
        self.state.leases.renew(["one"])
        assert self.state.leases.beat("one") >= beat > 0
        self.state.leases.retire("two")
        assert [info.queues for info in self.state.leases.all()] == [(_QUEUE,), ()]
        self.release("one")
        assert [info.token for info in self.state.leases.all()] == ["two"]
        assert self.release("one") == 0
        try:
            self.claim("a")
        except LeaseEnded:
            return
        raise AssertionError("a lease that has ended took a message")

    def test_c14_a_child_opens_a_connection_of_its_own(self) -> None:
        self.note("a")
        pid = os.fork()
        if pid == 0:
            os._exit(0 if self.state.locate("a") is not None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert self.state.locate("a") is not None


def _end(task_id: str, state: str = "SUCCESS") -> Record:
    return Record(task_id, state, True, json.dumps({"status": state}))


def _next(task_id: str) -> Outgoing:
    return Outgoing(_QUEUE, payload(task_id), task_id)


def _part(task_id: str, place: int) -> ChordPart:
    return ChordPart("g", task_id, place, "[]", None)
