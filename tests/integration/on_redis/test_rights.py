"""A user with the rights of the manual, on keys and channels of one prefix: all works, and nothing else is touched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import chord, group

from tests.integration.on_redis.server import Server
from tests.integration.worker.plant import ROOT, Plant, planted, until
from umbel import JobState

pytestmark = pytest.mark.slow

PREFIX = "shop:"
DATABASE = 3


def rights() -> list[str]:
    """The line of the manual."""
    page = (ROOT / "docs/operate/redis.md").read_text()
    found = re.search(r"^ACL SETUSER shop on >secret (.+?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    # The manual's is for database 0.
    return found[1].replace("\\\n", " ").replace("&shop:/0.", f"&shop:/{DATABASE}.").split()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "redis") as server:
        server.do("ACL", "SETUSER", "shop", "on", ">secret", *rights())
        yield server


@pytest.fixture
def plant(tmp_path: Path, server: Server) -> Iterator[Plant]:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder, f"redis://shop:secret@127.0.0.1:{server.port}/{DATABASE}") as made:
        options = {"global_keyprefix": PREFIX}
        made.app.conf.broker_transport_options = options
        made.code.write_text(made.code.read_text() + f"\n\napp.conf.broker_transport_options = {options!r}\n")
        yield made


def umbel(plant: Plant, *words: str) -> str:
    """Run one command of the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "umbel", *words, "-A", "plant_jobs:app"],
        cwd=plant.folder,
        env={
            **os.environ,
            "UMBEL_BROKER_URL": plant.url,
            "PYTHONPATH": os.pathsep.join((str(plant.folder), str(ROOT), str(ROOT / "src"))),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "does not allow" not in done.stdout + done.stderr
    return done.stdout


def test_c14_the_rights_of_the_manual_suffice_for_everything(plant: Plant, server: Server) -> None:
    worker = plant.start("-E")
    app, say = plant.app, plant.app.signature("plant_jobs.say")
    # Jobs of every kind, their results, groups and chords.
    assert plant.ended(plant.send("say", "plain", priority=9)).state is JobState.SUCCEEDED
    assert plant.ended(plant.send("say", "later", countdown=0.2)).state is JobState.SUCCEEDED
    both = chord(group(say.clone(("a",)), say.clone(("b",))))(
        app.signature("plant_jobs.say", immutable=True, args=("c",))
    )
    assert both.get(timeout=60) == "c"
    both.forget()
    # A crash, and who picks up.
    lost = plant.send("hold", "gate")
    plant.until_told("hold")
    worker.children("worker")[0].kill()
    plant.until_told("hold", times=2)
    plant.open("gate")
    assert plant.ended(lost).state is JobState.SUCCEEDED
    # Whoever operates.
    assert app.control.ping(timeout=60, limit=1)
    assert app.control.inspect(timeout=60, limit=1).registered()
    heard: list[dict[str, object]] = []
    with app.connection_for_read() as connection:
        app.events.Receiver(connection, handlers={"*": heard.append}).capture(limit=1, timeout=60, wakeup=True)
    assert heard
    job = plant.send("say", "no", countdown=3600)
    umbel(plant, "pause", "celery")
    assert "is delayed" in umbel(plant, "why", job)
    assert "paused" in umbel(plant, "status")
    assert "does not tell its settings" in umbel(plant, "doctor")
    umbel(plant, "cancel", job)
    umbel(plant, "resume", "celery")
    plant.send("say", "dropped", countdown=3600)
    assert "Dropped 1" in umbel(plant, "purge", "celery", "--yes")
    app.engine.sweep()
    plant.send("say", "waits", queue="nobody's")
    # An answer to a question of ours may have come late.
    assert {name for name in app.engine.names.waits() if not name.endswith("pidbox")} == {"nobody's"}
    assert app.engine.letters.count() == 0
    assert "Dropped 1" in umbel(plant, "purge", "nobody's", "--yes")
    until(plant.empty, "an empty queue")
    worker.stop()
    plant.send("say", "back", countdown=3600)
    assert "1 delayed jobs" in umbel(plant, "release")
    assert "Moved 1 job (0 delayed" in umbel(plant, "migrate", "--to", f"sqlite:///{plant.folder}/moved.db")
    assert "Moved 1 job" in umbel(plant, "migrate", "--from", f"sqlite:///{plant.folder}/moved.db")
    # What doctor may ask, and does without.
    assert {entry["object"] for entry in server.do("ACL", "LOG")} == {"config|get"}
    with server.client(db=DATABASE) as client:
        assert [key for key in client.scan_iter() if not key.startswith(PREFIX)] == []
    assert server.do("INFO", "keyspace").keys() <= {f"db{DATABASE}"}


@pytest.mark.parametrize("missing", ["-evalsha", "-incrby"])
def test_what_a_user_may_not_do_is_said_before_anything_is_taken(plant: Plant, server: Server, missing: str) -> None:
    server.do("ACL", "SETUSER", "shop", missing)
    worker = plant.start(ready=False)
    assert worker.wait() == 69
    assert "docs/operate/redis.md" in worker.text()
    assert "Traceback" not in worker.text()


def test_a_wrong_password_ends_the_worker_at_its_start(plant: Plant, server: Server) -> None:
    server.do("ACL", "SETUSER", "shop", "resetpass", ">other")
    worker = plant.start(ready=False)
    assert worker.wait() == 69
    assert "does not allow this" in worker.text()
    assert "secret" not in worker.text()
    # A password that changes while it runs is waited for.
    server.do("ACL", "SETUSER", "shop", ">secret")
    worker = plant.start("--loglevel", "WARNING")
    server.do("ACL", "SETUSER", "shop", "<secret")
    server.do("CLIENT", "KILL", "USER", "shop")
    until(lambda: "does not allow this" in worker.text(), "a worker that is refused")
    server.do("ACL", "SETUSER", "shop", ">secret")
    assert plant.ended(plant.send("say", "again")).state is JobState.SUCCEEDED
