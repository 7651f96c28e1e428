"""C23: whatever way an execution ends, its hooks hear of it, with real workers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.worker.plant import Plant, planted, until
from umbel import JobState

_SITES = ("sqlite-default", "sqlite-prefork", "redis-default")


@dataclass(frozen=True, slots=True)
class Site:
    """A running site, and which kind of its tasks a test uses."""

    plant: Plant
    pool: str
    flavour: str

    def send(self, name: str, *args: object, **options: object) -> str:
        return str(self.plant.app.send_task(f"{self.flavour}.{name}", args, **options).id)

    def heard(self, job: str) -> list[tuple[str, str, str]]:
        """What was heard of a job: the kind, by whom, and what became of it."""
        kinds = ("success", "retry", "failure", "cancel")
        return [
            (line.words[0], line.words[1], line.words[3])
            for line in self.plant.lines()
            if line.words[0] in kinds and line.words[2] == job
        ]

    def until_heard(self, job: str, *ends: tuple[str, str]) -> None:
        """Wait until all three levels have heard of these ends and of nothing else, the task's own first."""
        wanted = [(kind, who, said) for kind, said in ends for who in ("task", "aapp", "app")]
        until(lambda: len(self.heard(job)) >= len(wanted), f"{wanted}, not {self.heard(job)}; {self.plant.logs()}")
        # With prefork a retried job may run before its first attempt has told of that.
        by_kind = {kind: [one for one in self.heard(job) if one[0] == kind] for kind, _ in ends}
        assert by_kind == {kind: [one for one in wanted if one[0] == kind] for kind, _ in ends}
        assert len(self.heard(job)) == len(wanted)

    def begun(self, job: str) -> int:
        """How often a body began, within all that is around it."""
        whole = [("before", "app"), ("before", "aapp"), ("before", "task"), ("enter", "task"), ("leave", "task")]
        lines = [line for line in self.plant.lines() if line.words[2:3] == (job,) and line.words[:2] in whole]
        for process in {line.pid for line in lines}:
            order = [line.words[:2] for line in lines if line.pid == process]
            assert order == whole * (len(order) // len(whole))
        return len(lines) // len(whole)


@pytest.fixture(scope="module", params=_SITES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plant, str]]:
    store, _, pool = request.param.partition("-")
    url = None
    if store == "redis":
        server = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
        url = server.url
    with planted(tmp_path_factory.mktemp(request.param), url) as plant:
        plant.start(app="tests.integration.worker.hooked:app", concurrency=4, UMBEL_POOL=pool, UMBEL_CRASH_LIMIT="2")
        yield plant, pool


@pytest.fixture(params=["sync", "async"])
def site(running: tuple[Plant, str], request: pytest.FixtureRequest) -> Site:
    plant, pool = running
    plant.app.set_current()
    return Site(plant, pool, request.param)


def test_c23_success_failure_retry_and_rejection(site: Site) -> None:
    succeeded, failed = site.send("echo", "word"), site.send("fail")
    retried, rejected = site.send("again"), site.send("refuse")
    assert site.plant.ended(succeeded).state is JobState.SUCCEEDED
    site.until_heard(succeeded, ("success", "word"))
    assert site.plant.ended(failed).state is JobState.FAILED
    site.until_heard(failed, ("failure", "ValueError"))
    assert site.plant.ended(retried).state is JobState.SUCCEEDED
    site.until_heard(retried, ("retry", "OSError"), ("success", "twice"))
    assert site.plant.ended(rejected).state is JobState.FAILED
    site.until_heard(rejected, ("failure", "Reject"))
    assert [site.begun(job) for job in (succeeded, failed, retried, rejected)] == [1, 1, 2, 1]
    lasted = [line.words[4] for line in site.plant.lines("success", "task", succeeded)]
    assert lasted == ["True"]


def test_c23_a_cancel_before_the_start_and_one_while_it_runs(site: Site) -> None:
    name = uuid.uuid4().hex
    running = site.send("hold", name)
    site.plant.until_told("hold", name)
    site.plant.app.cancel(running)
    site.until_heard(running, ("cancel", "TaskRevokedError"))
    later = site.send("echo", "never", countdown=3600)
    site.plant.app.cancel(later)
    site.until_heard(later, ("cancel", "TaskRevokedError"))
    assert site.begun(later) == 0
    expired = site.send("echo", "never", expires=-1)
    site.until_heard(expired, ("cancel", "TaskRevokedError"))
    site.plant.open(name)


def test_c23_a_lost_worker_and_a_hard_time_limit(site: Site) -> None:
    name = uuid.uuid4().hex
    over = site.send("overrun", name)
    assert site.plant.ended(over).state is JobState.FAILED
    site.until_heard(over, ("failure", "TimeLimitExceeded"))
    lost = site.send("crash")
    assert site.plant.ended(lost).state is JobState.FAILED
    site.until_heard(lost, ("failure", "WorkerLostError"))
    site.plant.open(name)


def test_c23_a_refused_message_is_heard_of_by_the_application(site: Site) -> None:
    job = str(site.plant.app.send_task(f"{site.flavour}.nobody.knows.me").id)
    until(lambda: len(site.heard(job)) >= 2, f"an unknown task; {site.plant.logs()}")
    assert site.heard(job) == [("failure", "aapp", "NotRegistered"), ("failure", "app", "NotRegistered")]
    assert site.plant.ended(job).state is JobState.FAILED


def test_c23_a_kill_between_the_hook_and_the_settlement_repeats_both(site: Site) -> None:
    job = site.send("echo", "deadly")
    assert site.plant.ended(job).state is JobState.SUCCEEDED
    until(lambda: ("success", "app", "deadly") in site.heard(job), f"the second success; {site.plant.logs()}")
    assert [who for _, who, _ in site.heard(job)] == ["task", "task", "aapp", "app"]


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_c23_a_body_that_swallows_its_cancel_is_heard_of_as_cancelled_only(plant: Plant, flavour: str) -> None:
    plant.start(app="tests.integration.worker.hooked:app", concurrency=1)
    site = Site(plant, "default", flavour)
    job = site.send("stubborn", "gate")
    plant.until_told("hold", "gate")
    plant.app.cancel(job)
    plant.until_told("swallowed", "gate")
    # The only slot is free again when all that the body does has been done.
    assert plant.ended(site.send("echo", "next")).state is JobState.SUCCEEDED
    site.until_heard(job, ("cancel", "TaskRevokedError"))
    assert plant.state(job) is JobState.CANCELLED


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_c22_a_cancel_or_a_soft_limit_reaches_a_hook_that_waits(plant: Plant, flavour: str) -> None:
    """The process lives on, and so does its only slot."""
    plant.start(app="tests.integration.worker.hooked:app", concurrency=1)
    site = Site(plant, "default", flavour)
    job = site.send("behind")
    (line,) = plant.until_told("waits", job)
    if flavour == "sync":
        plant.app.cancel(job)
    plant.until_told("waited", job)
    state, kind, said = (
        (JobState.CANCELLED, "cancel", "TaskRevokedError")
        if flavour == "sync"
        else (JobState.FAILED, "failure", "SoftTimeLimitExceeded")
    )
    assert plant.ended(job).state is state
    until(lambda: (kind, "app", said) in site.heard(job), f"its end, not {site.heard(job)}")
    assert plant.ended(site.send("echo", "next")).state is JobState.SUCCEEDED
    (after,) = plant.until_told("success", "task", times=1)
    assert after.pid == line.pid
