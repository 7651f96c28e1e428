"""C35, C36: every permanent failure is one dead letter with all of its attempts, in every pool, and can be replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.worker.plant import Plant, Worker, until
from umbel import JobState
from umbel.engine.failures import failures_in
from umbel.engine.store import DeadLetter, Outgoing
from umbel.errors import LetterNotFound

JOBS = '''

from celery.exceptions import Ignore, Reject


class Broken(Exception):
    """Something of ours."""


def deeper(name):
    raise Broken(name)


@app.task(name="dead.fail")
def dead_fail(name):
    tell("ran", name)
    if not (GATES / f"mended-{name}").exists():
        deeper(name)
    return name


@app.task(name="dead.afail")
async def dead_afail(name):
    tell("ran", name)
    if not (GATES / f"mended-{name}").exists():
        deeper(name)
    return name


@app.task(name="dead.again", bind=True, max_retries=2)
def dead_again(self, name):
    tell("ran", name)
    if (GATES / f"mended-{name}").exists():
        return name
    try:
        deeper(f"{name} {self.request.retries}")
    except Broken as error:
        raise self.retry(exc=error, countdown=0)


@app.task(name="dead.aagain", bind=True, autoretry_for=(Broken,), max_retries=2, default_retry_delay=0)
async def dead_aagain(self, name):
    tell("ran", name)
    if not (GATES / f"mended-{name}").exists():
        deeper(f"{name} {self.request.retries}")
    return name


@app.task(name="dead.reject")
def dead_reject(name):
    raise Reject("no thanks", requeue=False)


@app.task(name="dead.areject")
async def dead_areject(name):
    raise Reject("no thanks", requeue=False)


@app.task(name="dead.unrecorded", ignore_result=True)
def dead_unrecorded(name):
    deeper(name)


@app.task(name="dead.early", acks_late=False)
def dead_early(name):
    deeper(name)


@app.task(name="dead.slow", time_limit=0.5)
def dead_slow(name):
    tell("hold", name)
    while True:
        time.sleep(0.01)


@app.task(name="dead.aslow", time_limit=0.5)
async def dead_aslow(name):
    tell("hold", name)
    await asyncio.sleep(1000)


@app.task(name="dead.ignore")
def dead_ignore(name):
    tell("ran", name)
    raise Ignore


@app.task(name="dead.total")
def dead_total(numbers):
    return sum(numbers)


@app.task(name="dead.part")
def dead_part(number):
    if number < 0:
        deeper(number)
    return number
'''

POOLS = ("default", "prefork")


@pytest.fixture
def dead(plant: Plant) -> Plant:
    """A plant whose workers know the jobs above."""
    plant.code.write_text(plant.code.read_text() + JOBS)
    return plant


def send(plant: Plant, name: str, *args: object, **options: object) -> str:
    return str(plant.app.send_task(f"dead.{name}", args, **options).id)


def mend(plant: Plant, name: str) -> None:
    plant.open(f"mended-{name}")


def letter_of(plant: Plant, job: str) -> DeadLetter:
    """Wait until the job has its letter and its failure, which it is to have at one time."""

    def found() -> bool:
        return any(one.task_id == job and not one.replaying for one in plant.engine.dead(1000))

    until(found, f"a dead letter of {job}; {plant.logs()}")
    return plant.app.dead_letters.show(job)


def start(plant: Plant, pool: str = "default", **extra: str) -> Worker:
    return plant.start("--pool", pool, concurrency=4, **extra)


@pytest.mark.parametrize("pool", POOLS)
def test_c35_every_permanent_failure_is_one_letter(dead: Plant, pool: str) -> None:
    start(dead, pool, UMBEL_RELEASE="v7")
    kinds = ["fail", "afail", "reject", "areject", "unrecorded", "early", "slow", "aslow", "again", "aagain"]
    jobs = {kind: send(dead, kind, kind, headers={"umbel_owner": "ann"}) for kind in kinds}
    jobs["unknown"] = str(dead.app.send_task("dead.nobody_has_this", ["x"], headers={"umbel_owner": "ann"}).id)
    found = {kind: letter_of(dead, job) for kind, job in jobs.items()}
    until(dead.empty, "an empty queue")
    assert sorted(str(one.task_id) for one in dead.engine.dead(1000)) == sorted(jobs.values()), "one each"
    for kind, letter in found.items():
        assert (letter.owner, letter.release, letter.queue) == ("ann", "v7", "celery"), kind
        assert json.loads(letter.payload)["headers"]["id"] == jobs[kind]
        if kind != "unrecorded":
            assert dead.state(jobs[kind]) is JobState.FAILED, kind
    assert {kind: letter.exception for kind, letter in found.items()} == {
        **dict.fromkeys(("fail", "afail", "unrecorded", "early", "again", "aagain"), "plant_jobs.Broken"),
        **dict.fromkeys(("reject", "areject"), "celery.exceptions.Reject"),
        **dict.fromkeys(("slow", "aslow"), "billiard.exceptions.TimeLimitExceeded"),
        "unknown": "celery.exceptions.NotRegistered",
    }
    assert found["fail"].reason == "plant_jobs.Broken: fail"
    assert found["reject"].reason == "rejected by its task: no thanks"
    assert found["slow"].reason == "hard time limit of 0.5 s exceeded"
    assert found["unknown"].reason.startswith("unknown task")
    (failure,) = failures_in(found["fail"].failures)
    assert "in deeper" in failure.traceback
    assert failure.release == "v7"
    # What failed in one place of the project is alike, whatever the job was called with.
    assert found["unrecorded"].fingerprint != found["fail"].fingerprint
    for kind in ("again", "aagain"):
        attempts = failures_in(found[kind].failures)
        assert [one.message for one in attempts] == [f"{kind} 0", f"{kind} 1", f"{kind} 2"]
        assert [one.attempt for one in attempts] == [0, 1, 2]
        assert all("in deeper" in one.traceback for one in attempts)
        assert json.loads(found[kind].payload)["headers"]["retries"] == 2


def test_c35_a_lost_worker_and_what_cannot_be_read_are_letters(dead: Plant) -> None:
    start(dead, UMBEL_CRASH_LIMIT="1")
    poison = dead.send("poison", "p")
    assert "worker lost" in letter_of(dead, poison).reason
    assert letter_of(dead, poison).exception == "billiard.exceptions.WorkerLostError"
    headers = {"id": "pickled", "task": dead.task("say"), "umbel_owner": "ann"}
    message = {"body": "gAQu", "content-type": "application/x-python-serialize", "content-encoding": "binary"}
    properties = {"body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "celery"}}
    raw = json.dumps({**message, "headers": headers, "properties": properties})
    dead.engine.enqueue([Outgoing("celery", raw, "pickled"), Outgoing("celery", "no JSON at all")])
    assert letter_of(dead, "pickled").owner == "ann"
    assert dead.ended("pickled").owner == "ann"
    until(lambda: any(one.task_id is None for one in dead.engine.dead()), "the letter of the damaged message")
    invalid = {**json.loads(raw), "body": json.dumps([1, 2]), "content-type": "application/json"}
    invalid["properties"]["body_encoding"] = "utf-8"
    invalid["content-encoding"] = "utf-8"
    invalid["headers"]["id"] = "invalid"
    dead.engine.enqueue([Outgoing("celery", json.dumps(invalid), "invalid")])
    assert letter_of(dead, "invalid").task_id == "invalid"
    assert dead.state("invalid") is JobState.FAILED


@pytest.mark.parametrize("pool", POOLS)
def test_c35_what_is_no_failure_leaves_no_letter(dead: Plant, pool: str) -> None:
    start(dead, pool)
    expired = dead.send("say", "x", expires=-1)
    ignored = send(dead, "ignore", "i")
    running = dead.send("hold", "h")
    waiting = dead.send("say", "w", queue="nobody", countdown=3600)
    retried = dead.send("retry_once", "r")
    dead.until_told("hold", "h")
    dead.app.cancel(running)
    dead.app.cancel(waiting)
    assert dead.ended(expired).state is JobState.EXPIRED
    assert dead.ended(running).state is JobState.CANCELLED
    assert dead.ended(retried).state is JobState.SUCCEEDED
    dead.until_told("ran", "i")
    until(lambda: dead.engine.locate(ignored) is None, "the end of the ignored job")
    last = send(dead, "fail", "last")
    letter_of(dead, last)
    assert [one.task_id for one in dead.engine.dead()] == [last]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", ["fail", "afail", "again", "aagain"])
def test_c36_a_replay_fails_again_and_then_succeeds(dead: Plant, pool: str, kind: str) -> None:
    start(dead, pool)
    job = send(dead, kind, kind)
    first = letter_of(dead, job)
    runs = len(failures_in(first.failures))
    dead.app.dead_letters.replay(job)
    second = letter_of(dead, job)
    assert second.id > first.id
    assert second.replays == 1
    assert len(failures_in(second.failures)) == 2 * runs
    mend(dead, kind)
    dead.app.dead_letters.replay(second.id)
    assert dead.ended(job).state is JobState.SUCCEEDED
    until(lambda: not dead.engine.dead(), "the letter is closed")
    assert len(dead.lines("ran", kind)) == 2 * runs + 1
    with pytest.raises(LetterNotFound):
        dead.app.dead_letters.show(job)


def test_c36_a_replay_that_is_cancelled_can_be_replayed(dead: Plant) -> None:
    worker = start(dead)
    job = send(dead, "fail", "c")
    letter_of(dead, job)
    worker.stop()
    dead.app.dead_letters.replay(job)
    dead.app.cancel(job)
    start(dead)
    letter = letter_of(dead, job)
    assert (letter.replays, letter.replaying) == (1, False)


def test_c35_a_failed_member_of_a_chord_is_a_letter(dead: Plant) -> None:
    from celery import chord

    start(dead)
    part, total = (dead.app.signature(f"dead.{name}") for name in ("part", "total"))
    result = chord([part.clone((number,)) for number in (1, -1, 2)])(total)
    until(lambda: dead.state(result.id) is JobState.FAILED, f"the chord has failed; {dead.logs()}")
    letters = dead.engine.dead()
    assert [one.reason for one in letters if one.task == "dead.part"] == ["plant_jobs.Broken: -1"]


def test_c35_a_killed_worker_leaves_a_state_and_a_letter_or_neither(dead: Plant, tmp_path: Path) -> None:
    """SIGKILL while hundreds fail: whoever has the one has the other, and in the end all have both, once."""
    jobs = [send(dead, "fail", f"k{number}") for number in range(300)]
    for cut in (40, 120):
        worker = dead.start("--pool", "default", concurrency=4, ready=False)
        until(lambda cut=cut: len(dead.lines("ran")) > cut, "some have run")  # type: ignore[misc]
        worker.destroy()
        failed = {job for job in jobs if (state := dead.state(job)) is not None and state.finished}
        assert {one.task_id for one in dead.engine.dead(1000)} == failed
    start(dead)
    until(lambda: len(dead.engine.dead(1000)) == len(jobs), f"a letter each; {dead.logs()}")
    until(dead.empty, "an empty queue")
    assert sorted(str(one.task_id) for one in dead.engine.dead(1000)) == sorted(jobs)
