"""C42: what does not verify, or is not protected where it must be, never runs, and is a dead letter with a reason."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.protection.conftest import Site
from tests.integration.protection.guarded import digest
from tests.integration.worker.plant import ROOT, planted, until
from umbel import JobState
from umbel.engine.failures import failures_in
from umbel.engine.keyring import Keyring
from umbel.engine.move import move
from umbel.engine.store import Outgoing
from umbel.errors import PayloadRefused

WAIT = 60


def letter_of(site: Site, task_id: str) -> Any:
    until(lambda: any(one.task_id == task_id for one in site.plant.engine.dead()), f"a dead letter of {task_id}")
    return next(one for one in site.plant.engine.dead() if one.task_id == task_id)


@pytest.mark.parametrize("mode", ["sign", "encrypt"])
def test_c42_keys_are_rotated_and_a_key_that_was_taken_away_opens_nothing(site: Site, mode: str) -> None:
    second, third = Keyring.fresh("second"), Keyring.fresh("third")
    told = {"UMBEL_PAYLOAD_PROTECTION": mode}
    first = site.client(payload_protection=mode)
    waiting = first.tasks["g.charge"].delay("a", "token")
    # The workers know the new key before anybody writes with it.
    worker = site.start(**told, UMBEL_PAYLOAD_KEYS=f"{second},{site.keys}")
    if mode == "encrypt":
        # Its result was written with the new key.
        with pytest.raises(PayloadRefused, match="'second', which is not in UMBEL_PAYLOAD_KEYS"):
            first.AsyncResult(waiting.id).get(timeout=WAIT)
        status = site.plant.ended(waiting.id)
        assert (status.state, status.result) == (JobState.SUCCEEDED, None)
        assert "'second', which is not in UMBEL_PAYLOAD_KEYS" in str(status.error)
    client = site.client(payload_protection=mode, payload_keys=f"{second},{site.keys}")
    assert client.AsyncResult(waiting.id).get(timeout=WAIT) == f"a:{digest('token')}"
    assert client.tasks["g.charge"].delay("b", "token").get(timeout=WAIT) == f"b:{digest('token')}"
    worker.stop()
    stranded = first.tasks["g.say"].delay("stranded")
    site.start(**told, UMBEL_PAYLOAD_KEYS=f"{second},{third}")
    letter = letter_of(site, stranded.id)
    assert "refused: A payload is protected with the key 'first', which is not in UMBEL_PAYLOAD_KEYS" in letter.reason
    assert site.plant.ended(stranded.id).state is JobState.FAILED
    assert client.tasks["g.say"].delay("on it goes").get(timeout=WAIT) == "on it goes"


def test_c42_a_body_that_was_put_under_other_headers_does_not_run(site: Site) -> None:
    """Whoever can write to the store cannot make a job of pieces of others, nor turn a retry back."""
    client = site.client(payload_protection="encrypt")
    engine = client.engine
    for word in ("one", "two"):
        client.tasks["g.say"].apply_async((word,), task_id=word, queue="parked")
    engine.open_lease("test", ["parked"], 1)
    one, two = sorted(engine.fetch({"parked": 0}, 2), key=lambda found: str(found.task_id))
    swapped = {**json.loads(one.payload), "body": json.loads(two.payload)["body"]}
    renamed = json.loads(two.payload)
    renamed["headers"]["task"] = "g.asay"
    engine.enqueue([Outgoing("celery", json.dumps(swapped), "one"), Outgoing("celery", json.dumps(renamed), "two")])
    site.start(UMBEL_PAYLOAD_PROTECTION="encrypt")
    for task_id in ("one", "two"):
        assert "refused: A payload does not verify under the key 'first'" in letter_of(site, task_id).reason
        assert site.plant.ended(task_id).state is JobState.FAILED
    engine.close_lease()


@pytest.mark.parametrize("mode", ["sign", "encrypt"])
@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c42_what_is_not_protected_is_refused_or_accepted_as_the_setting_says(site: Site, mode: str, pool: str) -> None:
    plain = site.plant.app
    worker = site.start(pool=pool, UMBEL_PAYLOAD_PROTECTION=mode)
    client = site.client(payload_protection=mode)
    refused = plain.send_task("g.say", ("plain",))
    assert "neither signed nor encrypted" in letter_of(site, refused.id).reason
    assert client.tasks["g.say"].delay("protected").get(timeout=WAIT) == "protected"
    with pytest.raises(PayloadRefused):
        client.AsyncResult(refused.id).get(timeout=WAIT)
    worker.stop()
    site.start(pool=pool, UMBEL_PAYLOAD_PROTECTION=mode, UMBEL_PAYLOAD_UNPROTECTED="accept")
    accepted = plain.send_task("g.say", ("plain",))
    assert client.AsyncResult(accepted.id).get(timeout=WAIT) == "plain"
    assert len(site.plant.engine.dead()) == 1


def test_c42_a_signature_that_was_taken_off_or_belongs_to_another_key_is_refused(site: Site) -> None:
    client = site.client(payload_protection="sign")
    engine = client.engine
    client.tasks["g.say"].apply_async(("x",), task_id="stripped", queue="parked")
    engine.open_lease("test", ["parked"], 1)
    (found,) = engine.fetch({"parked": 0}, 1)
    stripped = json.loads(found.payload)
    del stripped["headers"]["umbel_signed"]
    engine.enqueue([Outgoing("celery", json.dumps(stripped), "stripped")])
    forged = site.client(payload_protection="sign", payload_keys=Keyring.fresh("first")).tasks["g.say"].delay("y")
    site.start(UMBEL_PAYLOAD_PROTECTION="sign")
    assert "neither signed nor encrypted" in letter_of(site, "stripped").reason
    assert "does not verify under the key 'first'" in letter_of(site, forged.id).reason
    engine.close_lease()


class Bomb:
    """What makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("pool", ["default", "prefork"])
@pytest.mark.parametrize("mode", ["off", "encrypt"])
def test_c42_another_content_type_is_refused_and_kept_and_nothing_of_it_runs(site: Site, mode: str, pool: str) -> None:
    path = site.plant.folder / "exploded"
    assert pickle.dumps(Bomb(path))
    client = site.client(payload_protection=mode)
    site.start(pool=pool, UMBEL_PAYLOAD_PROTECTION=mode)
    sent = client.tasks["g.say"].apply_async((Bomb(path),), serializer="pickle")
    assert "untrusted content" in letter_of(site, sent.id).reason
    assert site.plant.ended(sent.id).state is JobState.FAILED
    assert not path.exists()
    assert client.tasks["g.say"].delay("on it goes").get(timeout=WAIT) == "on it goes"


def test_c42_an_unknown_or_senseless_job_that_was_encrypted_is_not_shown_in_the_log(site: Site) -> None:
    client = site.client(payload_protection="encrypt")
    worker = site.start(UMBEL_PAYLOAD_PROTECTION="encrypt")
    unknown = client.send_task("g.nowhere", ("told to nobody",))
    senseless = client.send_task("g.say", ("told to nobody",), headers={"eta": "never", "expires": "never"})
    for sent in (unknown, senseless):
        assert letter_of(site, sent.id).reason
    assert client.tasks["g.say"].delay("x").get(timeout=WAIT) == "x"
    assert "told to nobody" not in worker.text()
    assert site.traces("told to nobody") == []


@contextmanager
def plain_worker(site: Site) -> Iterator[None]:
    """A worker of plain Celery's on the same Redis."""
    environment = {
        **os.environ,
        "PLAIN_REDIS": site.plant.url,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
    }
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tests.integration.on_redis.plain_celery",
        "worker",
        "-P",
        "threads",
    ]
    with (site.plant.folder / "plain.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-c", "2", "--without-mingle", "--without-gossip"],
            cwd=site.plant.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(WAIT)


@pytest.mark.parametrize("site", ["redis"], indirect=True)
def test_c45_a_plain_worker_runs_what_is_signed_and_not_what_is_encrypted(site: Site) -> None:
    signing = site.client(payload_protection="sign")
    with plain_worker(site):
        assert signing.send_task("shared.add", (2, 3), queue="shared").get(timeout=WAIT) == 5
        encrypted = site.client(payload_protection="encrypt").send_task("shared.add", (2, 3), queue="shared")
        assert signing.send_task("shared.add", (3, 3), queue="shared").get(timeout=WAIT) == 6
    assert signing.AsyncResult(encrypted.id).state == "PENDING"


def test_c42_messages_that_wait_are_moved_as_they_are(site: Site, redis_url: str, tmp_path: Path) -> None:
    """``umbel migrate`` needs no key, and a worker at the other store opens them."""
    client = site.client(payload_protection="encrypt")
    moved = [
        client.tasks["g.charge"].delay("a", "token"),
        client.tasks["g.charge"].apply_async(("b", "token"), countdown=1),
    ]
    folder = tmp_path / "target"
    folder.mkdir()
    with planted(folder, redis_url if site.plant.url.startswith("sqlite:") else None) as plant:
        there = Site(plant, site.keys)
        assert sum(len(crate.parcels) for crate in move(client.engine, plant.engine, label="there")) == 2
        there.start(UMBEL_PAYLOAD_PROTECTION="encrypt")
        found = [there.client().AsyncResult(one.id).get(timeout=WAIT) for one in moved]
        there.close()
    assert found == [f"{name}:{digest('token')}" for name in "ab"]


@pytest.mark.parametrize("mode", ["sign", "encrypt"])
def test_c36_a_protected_jobs_letter_is_replayed_with_its_retries_anew(site: Site, mode: str) -> None:
    """By whoever has no key; and where everything is encrypted the letter names the type of an error and no more."""
    client = site.client(payload_protection=mode)
    site.start("-E", UMBEL_PAYLOAD_PROTECTION=mode)
    word = f"word{uuid.uuid4().hex}"
    failed = client.tasks["g.mended"].delay(word)
    letter = letter_of(site, failed.id)
    assert letter.exception == "ValueError"
    assert len(failures_in(letter.failures)) == 2
    assert (word in letter.reason) == (mode == "sign")
    (site.plant.folder / "mended").touch()
    site.plant.app.dead_letters.replay(failed.id)
    until(lambda: site.plant.app.status(failed.id).state is JobState.SUCCEEDED, f"{failed.id} succeeds")
    assert client.AsyncResult(failed.id).get(timeout=WAIT) == f"{word} 0"
    until(lambda: not site.plant.engine.dead(), "the letter is closed")
    if mode == "encrypt":
        site.plant.workers[0].log.unlink()
        assert site.traces(word) == []
