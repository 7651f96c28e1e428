"""The history beside a plain model of jobs' lives: any lives, told in any order in which a log may tell them, in reads
that are cut anywhere, some of them written twice.

The model sees what happens in the order in which it happens, and knows nothing of reads or of orders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete

from tests.integration.monitor.events import START, ended, ends, failure, queued, success
from tests.integration.monitor.tally import tally_is_right
from umbel.monitor.history import History
from umbel.monitor.job_filter import JobFilter
from umbel.monitor.tables import ATTEMPTS, CURSORS, FAILURES, JOBS, MESSAGES, ROLLUPS, TAGS
from umbel.monitor.writer import CursorMoved
from umbel.state.events import Ended, Event, Logged, Queued
from umbel.states import JobState

_ENDS = {state for state in JobState if state.finished}
_TASK = "shop.add"
ids = st.sampled_from(["a", "b", "c"])


@dataclass
class Known:
    """What the model knows of one job."""

    state: JobState = JobState.QUEUED
    dispatched: int = 0
    retries: int = 0
    replays: int = 0
    attempts: int = 0
    told: list[str] = field(default_factory=list)
    result: str | None = None
    error: str | None = None
    message: str | None = None
    #: The message that a worker would get next, and when it was queued.
    waiting: Queued | None = None
    #: When that began, if that was told.
    began: float | None = None


class Lives(RuleBasedStateMachine):
    """Things happen to three jobs, are told, and are read."""

    opened: History

    def __init__(self) -> None:
        super().__init__()
        self.history = type(self).opened
        self.history.database.write(lambda one: [one.execute(delete(table)) for table in _LEFT])
        self.jobs: dict[str, Known] = {}
        self.now = START
        self.log: list[Event] = []
        self.read = 0
        self.written: tuple[Logged, str | None] | None = None
        self.ended = 0

    def teardown(self) -> None:
        if self.log:
            self._write(len(self.log))
        self._check()

    def _later(self) -> float:
        self.now += 1
        return self.now

    # -- what happens -----------------------------------------------------------------------------------------

    @rule(job=ids, due=st.booleans())
    def dispatch(self, job: str, due: bool) -> None:
        """For the first time, or again after it has ended."""
        known = self.jobs.setdefault(job, Known())
        if known.dispatched and known.state not in _ENDS:
            return
        known.dispatched += 1
        known.retries = known.replays = 0
        self._wait(job, due=due)

    @precondition(lambda self: any(one.state is JobState.FAILED for one in self.jobs.values()))
    @rule(data=st.data(), behind=st.floats(0, 10))
    def replay(self, data: st.DataObject, behind: float) -> None:
        """By somebody whose clock may be behind."""
        job = data.draw(st.sampled_from([name for name, one in self.jobs.items() if one.state is JobState.FAILED]))
        known = self.jobs[job]
        known.replays += 1
        known.retries = 0
        self._wait(job, behind=behind)

    def _wait(
        self, job: str, *, due: bool = False, put_off: bool = False, behind: float = 0.0, **headers: Any
    ) -> Queued:
        known, at = self.jobs[job], self._later() - behind
        if put_off:
            headers["umbel_put_off"] = 1
        if known.replays:
            headers["umbel_replay"] = f"{known.replays} {job}"
        event = queued(job, at, due=at + 5 if due else None, retries=known.retries, **headers)
        known.state = JobState.RETRYING if known.retries else JobState.SCHEDULED if due else JobState.QUEUED
        known.result, known.message, known.waiting = None, event.payload, event
        self.log.append(event)
        return event

    def _waiting(self, data: st.DataObject, *, began: bool = True) -> str:
        waiting = (name for name, one in self.jobs.items() if one.waiting is not None and (began or one.began is None))
        return data.draw(st.sampled_from(sorted(waiting)))

    @precondition(lambda self: any(one.waiting and one.began is None for one in self.jobs.values()))
    @rule(data=st.data(), knows=st.booleans(), late=st.booleans())
    def begin(self, data: st.DataObject, knows: bool, late: bool) -> None:
        """Of what runs for long it is told that it has begun."""
        job = self._waiting(data, began=False)
        known = self.jobs[job]
        message = known.waiting
        assert message is not None
        # A replay is told apart from what it replays by its end only, where nobody says when it was queued.
        knows, late = knows or bool(known.replays), late and not known.replays
        known.began = self._start(message)
        known.state, known.result = JobState.RUNNING, None
        told = ended(
            job, "STARTED", started=known.began, at=0.0, attempt=known.retries, queued=message.at if knows else 0.0
        )
        self._tell(ends(told), message, late=late)

    def _start(self, message: Queued) -> float:
        self.now = max(self._later(), message.due or 0.0, message.at) + 0.1
        return self.now

    def _tell(self, event: Event, message: Queued, *, late: bool) -> None:
        self.log.append(event)
        if late and message in self.log:
            self.log.remove(message)
            self.log.append(message)

    @precondition(lambda self: any(one.waiting for one in self.jobs.values()))
    @rule(data=st.data(), good=st.booleans(), knows=st.booleans(), late=st.booleans())
    def end(self, data: st.DataObject, good: bool, knows: bool, late: bool) -> None:
        job = self._waiting(data)
        known = self.jobs[job]
        self.ended += 1
        document = success(job, self.ended) if good else failure(job, message=[self.ended])
        # A replay that has failed, told of after its failure, may be one of a sender whose clock is behind.
        late = late and (good or knows or not known.replays)
        self._ends(job, "SUCCESS" if good else "FAILURE", document, knows=knows, late=late)
        known.attempts += 1
        known.state = JobState.SUCCEEDED if good else JobState.FAILED
        known.told.append(known.state.value)
        known.result, known.error = (str(self.ended), None) if good else (None, str(self.ended))
        known.waiting = None
        if good:
            known.message = None

    @precondition(lambda self: any(one.waiting and one.began is None for one in self.jobs.values()))
    @rule(data=st.data(), expired=st.booleans(), knows=st.booleans(), late=st.booleans())
    def never_begin(self, data: st.DataObject, expired: bool, knows: bool, late: bool) -> None:
        job = self._waiting(data, began=False)
        known = self.jobs[job]
        document = failure(job, "TaskRevokedError", ["expired" if expired else "revoked"], "celery.exceptions")
        self._ends(job, "REVOKED", document, knows=knows, late=late, began=False)
        known.state = JobState.EXPIRED if expired else JobState.CANCELLED
        known.error = "expired" if expired else "revoked"
        known.message = known.waiting = None

    @precondition(lambda self: any(one.waiting for one in self.jobs.values()))
    @rule(data=st.data(), knows=st.booleans(), late=st.booleans())
    def interrupt(self, data: st.DataObject, knows: bool, late: bool) -> None:
        job = self._waiting(data)
        known = self.jobs[job]
        self._ends(job, "REQUEUED", None, knows=knows, late=late)
        known.told.append("interrupted")
        known.state, known.error = JobState.RETRYING if known.retries else JobState.QUEUED, None

    @precondition(lambda self: any(one.waiting for one in self.jobs.values()))
    @rule(
        data=st.data(),
        why=st.sampled_from(["retry", "snooze", "replace"]),
        due=st.booleans(),
        swap=st.booleans(),
        late=st.booleans(),
    )
    def go_on(self, data: st.DataObject, why: str, due: bool, swap: bool, late: bool) -> None:
        """One step ends an execution and queues what follows, told in either order."""
        job = self._waiting(data)
        known = self.jobs[job]
        self.ended += 1
        snooze = failure(job, "Snooze", [self.ended], "umbel.jobs.outcomes")
        retry = failure(job, message=[self.ended])
        state, document = {"retry": ("RETRY", retry), "snooze": ("RETRY", snooze), "replace": ("IGNORED", None)}[why]
        place = len(self.log)
        end = self._ends(job, state, document, knows=True, late=late)
        known.told.append({"retry": "retrying", "snooze": "deferred", "replace": "succeeded"}[why])
        known.attempts += why != "snooze"
        known.error = None if why == "replace" else str(self.ended)
        known.retries += why == "retry"
        self.now -= 0.5
        event = self._wait(job, due=due, put_off=why == "snooze")
        self.now += 1
        if swap and self.log[place:] == [end, event]:
            self.log[place:] = [event, end]

    def _ends(
        self, job: str, state: str, document: str | None, *, knows: bool, late: bool, began: bool = True
    ) -> Event:
        """Tell of an end; ``knows``: when its message was queued. ``late``: its message is told of after it."""
        known = self.jobs[job]
        message = known.waiting
        assert message is not None
        started = self._start(message) if known.began is None else known.began
        known.began = None
        one: Ended = ended(
            job,
            state,
            started=started if began else 0.0,
            at=self._later(),
            attempt=known.retries,
            queued=message.at if knows else 0.0,
            document=document or "null",
        )
        event = ends(one)
        self._tell(event, message, late=late)
        return event

    # -- what is read -----------------------------------------------------------------------------------------

    @precondition(lambda self: bool(self.log))
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        """Some of what the log has, or all."""
        self._write(data.draw(st.integers(1, len(self.log))))
        if not self.log:
            self._check()

    def _write(self, count: int) -> None:
        after = str(self.read) if self.read else None
        self.read += count
        logged = Logged(str(self.read), tuple(self.log[:count]))
        self.history.write("shop", logged, after=after)
        self.log, self.written = self.log[count:], (logged, after)

    @precondition(lambda self: self.written is not None)
    @rule()
    def write_again(self) -> None:
        """By a recorder that has read the same, or has ended before it dropped it."""
        assert self.written is not None
        logged, after = self.written
        with pytest.raises(CursorMoved):
            self.history.write("shop", logged, after=after)

    def _check(self) -> None:
        """The history knows what happened."""
        tally_is_right(self.history)
        for job, known in self.jobs.items():
            found = self.history.jobs.job(job)
            row = found.job
            assert (row.state, row.attempts, row.task) == (known.state, known.attempts, _TASK), found
            assert (found.result, row.error_message) == (known.result, known.error), found
            assert sorted(one.state for one in found.attempts) == sorted(known.told), found
            assert self.history.jobs.message(job) == known.message, found
            assert (row.ended_at is not None) == (known.state in _ENDS), found
        for state in {one.state for one in self.jobs.values()}:
            wanted = JobFilter(states=frozenset({state}))
            here = {job for job, one in self.jobs.items() if one.state is state}
            assert {one.id for one in self.history.jobs.find(wanted).jobs} == here
        points = self.history.charts.series(since=START, until=self.now + 60, step=86_400)
        told = [word for one in self.jobs.values() for word in one.told]
        counts = {name: sum(point.counts[name] for point in points) for name in points[0].counts}
        assert counts["succeeded"] == told.count("succeeded")
        assert counts["failed"] == told.count("failed")
        assert counts["retried"] == told.count("retrying")
        assert counts["interrupted"] == told.count("interrupted")


#: What a job leaves; names may stay.
_LEFT = (ATTEMPTS, CURSORS, FAILURES, JOBS, MESSAGES, ROLLUPS, TAGS)


def test_any_lives(history: History) -> None:
    class OnHistory(Lives):
        opened = history

    run_state_machine_as_test(
        OnHistory,
        settings=settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", "30")) // (1 if history.database.is_sqlite else 3),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            database=None,
            # Explaining traces every line, which takes minutes here.
            phases=[Phase.generate, Phase.shrink],
        ),
    )
