"""What waits can be carried to another store, whole, and once (issue: moving)."""

from __future__ import annotations

import dataclasses
import json

from umbel.engine.batches import DONE, MemberEnd, Plan
from umbel.engine.burial import replay_of
from umbel.engine.moving import Belongings, Cancelled, Chord, Crate, Group, Kept, Tick
from umbel.engine.store import ChordPart, Outgoing, Record, Settled, Stored
from umbel.testing.contract._suite import QUEUE, Suite, ids, passing, payload

__all__ = ("Moving",)

LATER = 4_000_000_000.0


class Moving(Suite):
    """C14, C22, C35: nothing that waits is lost or doubled on its way, and it arrives as it was."""

    def pack(self, limit: int = 100) -> Crate:
        """Pack a crate that must have something."""
        crate = self.engine.moving.pack(limit, "there", "a store")
        assert crate is not None
        return crate

    def come_back(self) -> Crate:
        """Send everything away and admit it again, as another store would."""
        crate = self.pack()
        self.engine.moving.discard(crate.token)
        assert self.engine.moving.admit(crate)
        return crate

    # -- crates -----------------------------------------------------------------------------------------------

    def test_c14_what_is_packed_nobody_fetches_reaps_or_purges(self) -> None:
        self.put("a", "b")
        self.put("later", due=LATER)
        crate = self.pack()
        assert [one.task_id for one in crate.parcels] == ["a", "b", "later"]
        other = self.peer()
        assert other.call("fetch", {QUEUE: 0}, 10) == []
        assert (self.engine.reap(), self.engine.purge(QUEUE), self.get(suspects=True)) == (0, 0, [])
        assert self.engine.moving.recall() == 3

    def test_c14_a_packed_crate_is_found_again_as_it_was(self) -> None:
        """By another process, after the one that packed it was killed."""
        self.put("a", "b", "c")
        crate = self.pack(2)
        self.engine.close()
        assert self.pack(2) == crate
        assert self.engine.moving.packed() == crate
        assert self.engine.moving.pack(2, "elsewhere", "another") == crate

    def test_c14_a_crate_is_admitted_once(self) -> None:
        self.put("a", "b")
        crate = self.pack()
        self.engine.moving.discard(crate.token)
        assert self.engine.moving.admit(crate)
        assert not self.engine.moving.admit(crate)
        assert ids(self.get()) == ["a", "b"]

    def test_c14_a_crate_is_discarded_once(self) -> None:
        """A second run that is late must not drop what was packed since."""
        self.put("a", "b")
        first = self.pack(1)
        self.engine.moving.discard(first.token)
        second = self.pack(1)
        self.engine.moving.discard(first.token)
        assert self.engine.moving.packed() == second
        self.engine.moving.discard(second.token)
        assert self.engine.moving.pack(1, "there", "a store") is None

    def test_c14_what_a_process_holds_is_not_packed(self) -> None:
        self.put("held", "waits")
        (held,) = self.get(1)
        assert [one.task_id for one in self.pack().parcels] == ["waits"]
        assert self.finish(held) is not None
        assert self.state("held") == "SUCCESS"

    def test_c14_a_recalled_crate_stands_at_the_head_again(self) -> None:
        self.put("a", "b", "c")
        self.put("later", due=LATER)
        self.pack(2)
        self.engine.moving.recall()
        assert self.engine.moving.recall() == 0
        assert self.engine.moving.packed() is None
        assert ids(self.get()) == ["a", "b", "c"]

    def test_a_store_keeps_its_name(self) -> None:
        name = self.engine.moving.identity()
        assert len(name) == 32
        assert self.peer("nothing") is not None
        self.engine.close()
        assert self.engine.moving.identity() == name

    def test_c14_a_batch_that_is_packed_is_counted_and_calls_nobody_back(self) -> None:
        callback = Outgoing(QUEUE, payload("then"), "then")
        self.engine.batches.open(Plan(id="b", name="b", callbacks={"then": [callback]}))
        self.engine.batches.add("b", [Outgoing(QUEUE, payload("a", umbel_batch="b"), "a")])
        self.engine.batches.close("b")
        (bundle,) = self.pack().batches
        assert (bundle.tally.held, bundle.tally.total, bundle.callbacks) == (True, 1, {"then": (callback,)})
        self.engine.settle([Settled(end=MemberEnd("b", "a", DONE))])
        assert ids(self.get()) == ["a"]
        assert (self.engine.batches.find(9), self.engine.batches.stale(LATER, 9)) == ([], [])
        self.engine.moving.recall()
        assert ids(self.get()) == ["then"]
        assert [one.id for one in self.engine.batches.find(9)] == ["b"]

    # -- as it was --------------------------------------------------------------------------------------------

    def test_c8_order_and_priority_arrive(self) -> None:
        self.put("low-1", "low-2", priority=0)
        self.put("high-1", "high-2", priority=9)
        self.put("mail", queue="email", priority=5)
        self.come_back()
        found = self.get()
        assert [(one.task_id, one.rank) for one in found] == [("high-1", 0), ("high-2", 0), ("low-1", 9), ("low-2", 9)]
        assert [(one.task_id, one.rank) for one in self.get(queue="email")] == [("mail", 4)]

    def test_order_is_kept_from_crate_to_crate(self) -> None:
        names = [f"t{number}" for number in range(25)]
        self.put(*names)
        crates = []
        while crate := self.engine.moving.pack(4, "there", "a store"):
            self.engine.moving.discard(crate.token)
            crates.append(crate)
        assert len(crates) == 7
        for crate in crates:
            self.engine.moving.admit(crate)
        assert ids(self.get()) == names

    def test_c16_due_times_arrive_and_what_is_due_runs(self) -> None:
        self.put("later", due=LATER)
        self.put("soon", due=1.0)
        crate = self.come_back()
        assert {one.task_id: one.due for one in crate.parcels}["later"] == LATER
        assert ids(self.get()) == ["soon"]
        where = self.engine.locate("later")
        assert where is not None
        assert where.due == LATER

    def test_what_a_message_says_of_itself_arrives(self) -> None:
        headers = {"umbel_owner": "user-7", "expires": "2030-01-01T00:00:00+00:00", "retries": 2}
        self.put("a", headers=headers, priority=6)
        before = self.engine.locate("a")
        (parcel,) = self.come_back().parcels
        assert json.loads(parcel.payload) == json.loads(payload("a", **headers))
        assert self.engine.locate("a") == before
        assert before is not None
        assert self.get_one().enqueued == before.enqueued

    def test_c17_suspects_stay_suspects_with_their_history(self) -> None:
        self.put("ran")
        other = self.peer()
        (held,) = other.call("fetch", {QUEUE: 0}, 1)
        other.call("started", held.seq)
        other.kill()
        self.engine.reap()
        self.put("new")
        self.come_back()
        assert ids(self.get()) == ["new"]
        where = self.engine.locate("ran")
        assert where is not None
        assert (where.suspect, where.crashes, where.deliveries) == (True, 1, 1)
        again = self.get_one(suspects=True)
        assert (again.task_id, again.deliveries) == ("ran", 2)

    def test_c17_a_verdict_arrives(self) -> None:
        self.put("stuck")
        other = self.peer()
        (held,) = other.call("fetch", {QUEUE: 0}, 1)
        other.call("started", held.seq, 1.0)
        other.kill()
        self.engine.reap(other.token, crashed=False, overdue=[held.seq])
        self.come_back()
        assert "limit" in str(self.get_one().verdict)

    def test_c22_a_cancelled_job_arrives_cancelled(self) -> None:
        self.put("a", "b")
        self.engine.cancel("a", Record("a", "REVOKED", True, "{}"))
        crate = self.come_back()
        assert {one.task_id: one.cancelled is not None for one in crate.parcels} == {"a": True, "b": False}
        assert {one.task_id: one.cancelled for one in self.get()} == {"a": True, "b": False}

    def test_c35_dead_letters_come_when_no_message_waits(self) -> None:
        for number in range(3):
            self.put(f"t{number}")
            self.bury(self.get_one(), f"why {number}", error=ValueError(str(number)))
        self.engine.letters.replay([replay_of(self.engine.letters.read(["t1"])[0], "tag")])
        self.finish(self.get_one(), "RETRY")
        self.put("waits")
        before = self.engine.dead()
        first = self.pack()
        assert ([one.task_id for one in first.parcels], first.letters) == (["waits"], ())
        self.engine.moving.discard(first.token)
        second = self.pack(2)
        assert [one.reason for one in second.letters] == ["why 0", "why 1"]
        self.engine.moving.recall()
        assert self.engine.dead() == before
        self.come_back()
        after = self.engine.dead()
        assert [dataclasses.replace(one, id=0) for one in after] == [dataclasses.replace(one, id=0) for one in before]

    def test_a_message_that_is_no_text_arrives_somehow(self) -> None:
        """No worker can read it, and none of its neighbours suffers."""
        crate = dataclasses.replace(self.damaged(), target="here")
        assert self.engine.moving.admit(crate)
        assert ids(self.get()) == ["fine", "damaged"]

    def damaged(self) -> Crate:
        """Return a crate with a message whose bytes are no text."""
        self.put("fine", "damaged")
        crate = self.pack()
        self.engine.moving.discard(crate.token)
        fine, damaged = crate.parcels
        return dataclasses.replace(crate, parcels=(fine, dataclasses.replace(damaged, payload="{\udcff}")))

    # -- what is copied ---------------------------------------------------------------------------------------

    def belongings(self) -> Belongings:
        """Return all that is copied, in one piece."""
        found = [*self.engine.moving.belongings(), *self.engine.moving.chords()]
        fields = [field.name for field in dataclasses.fields(Belongings)]
        return Belongings(**{name: tuple(one for page in found for one in getattr(page, name)) for name in fields})

    def test_c20_states_are_copied_and_newer_ones_stay(self) -> None:
        self.put("a")
        self.finish(self.get_one())
        self.engine.settle([Settled(records=[passing("b", "RETRY")])])
        copied = {one.stored.task_id: one.stored for one in self.belongings().states}
        assert {task_id: one.state for task_id, one in copied.items()} == {"a": "SUCCESS", "b": "RETRY"}
        self.engine.forget("a")
        self.engine.moving.keep(Belongings(states=tuple(Kept(one, None) for one in copied.values())))
        assert self.stored("a") == copied["a"]
        older = dataclasses.replace(copied["b"], state="STARTED", updated=copied["b"].updated - 5)
        newer = dataclasses.replace(copied["b"], state="FAILURE", final=True, updated=copied["b"].updated + 5)
        late = dataclasses.replace(copied["b"], updated=copied["b"].updated + 9)
        for one, state in ((older, "RETRY"), (newer, "FAILURE"), (late, "FAILURE")):
            self.engine.moving.keep(Belongings(states=(Kept(one, None),)))
            assert self.state("b") == state

    def test_a_state_that_was_copied_expires_when_it_would_have(self) -> None:
        stored = Stored("a", "SUCCESS", True, b'{"status": "SUCCESS"}', 0, None, None, None, 5.0)
        self.engine.moving.keep(Belongings(states=(Kept(stored, LATER),)))
        (kept,) = self.belongings().states
        assert kept.expires is not None
        assert abs(kept.expires - LATER) < 5
        assert bytes(kept.stored.meta) == stored.meta  # type: ignore[arg-type]

    def test_c18_a_chord_goes_on_where_it_was(self) -> None:
        self.engine.groups.set_size("g", 3, LATER)
        self.engine.settle([Settled(parts=[ChordPart("g", "m1", 0, "one", None)])])
        (chord,) = self.belongings().chords
        assert (chord.size, chord.fired) == (3, False)
        # Over there one member has ended before the chord arrived, and it comes twice.
        other = dataclasses.replace(chord, group_id="h")
        self.engine.settle([Settled(parts=[ChordPart("h", "m2", 1, "two", None)])])
        for _ in range(2):
            self.engine.moving.keep(Belongings(chords=(other,)))
        assert [task_id for task_id, _ in self.engine.groups.parts("h")] == ["m1", "m2"]
        last = Settled(parts=[ChordPart("h", "m3", 2, "three", None)])
        assert [part.group_id for part in self.engine.settle([last]).complete] == ["h"]

    def test_c18_a_chord_that_has_fired_does_not_fire_again(self) -> None:
        chord = Chord("g", 1, 0, False, LATER, (("m1", 0, "one"),))
        self.engine.moving.keep(Belongings(chords=(chord,)))
        fire = Settled(fired="g", outgoing=[Outgoing(QUEUE, payload("callback"), "callback")])
        self.engine.settle([fire])
        self.engine.moving.keep(Belongings(chords=(chord,)))
        assert self.engine.settle([Settled(parts=[ChordPart("g", "m1", 0, "one", None)])]).complete == ()
        assert ids(self.get()) == ["callback"]

    def test_a_chord_waits_for_the_parts_that_running_members_added(self) -> None:
        self.engine.moving.keep(Belongings(chords=(Chord("g", 1, 1, False, LATER, (("m1", 0, "one"),)),)))
        self.engine.moving.keep(Belongings(chords=(Chord("g", 1, 1, False, LATER),)))
        (chord,) = self.belongings().chords
        assert (chord.size, chord.extra, len(chord.parts)) == (1, 1, 1)
        last = Settled(parts=[ChordPart("g", "m2", 1, "two", None)])
        assert len(self.engine.settle([last]).complete) == 1

    def test_named_chords_alone_may_be_asked_for(self) -> None:
        for group in ("g", "h"):
            self.engine.groups.set_size(group, 2, LATER)
        named = [one.group_id for page in self.engine.moving.chords(["h", "nonesuch"]) for one in page.chords]
        assert named == ["h"]
        assert list(self.engine.moving.chords([])) == []

    def test_groups_ticks_and_cancellations_are_copied(self) -> None:
        self.engine.groups.save("g", b"shape", None)
        leader = self.engine.leader("shop")
        assert leader.leads()
        self.engine.tick(leader, [], "nightly", 100.0, 4)
        self.engine.cancel("not yet", None, running=False)
        found = self.belongings()
        assert [(one.group_id, bytes(one.meta), one.expires) for one in found.groups] == [("g", b"shape", None)]  # type: ignore[arg-type]
        assert found.ticks == (Tick("nightly", 100.0, 4),)
        assert [(one.task_id, one.running) for one in found.cancelled] == [("not yet", False)]
        again = Belongings(
            groups=(Group("g", b"other", None), Group("h", b"shape", LATER)),
            ticks=(Tick("nightly", 90.0, 3), Tick("hourly", 5.0, 1)),
            cancelled=(Cancelled("not yet", 1.0, True), Cancelled("other", 1.0, True)),
        )
        self.engine.moving.keep(again)
        assert (self.engine.groups.read("g"), self.engine.groups.read("h")) == (b"shape", b"shape")
        assert self.engine.last_ticks() == {"nightly": (100.0, 4), "hourly": (5.0, 1)}
        self.put("other")
        assert self.get_one().cancelled
