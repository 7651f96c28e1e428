"""C44: what commands do is one entry in the audit log; without one they do it all the same, and say so once."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.integration.operations.stand import QUEUE, Stand
from umbel.cli import umbel_command
from umbel.cli.invocation import Invocation
from umbel.errors import StoreUnreachable

_NO_ENTRY = "No entry was written into the audit log: "


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.close()


def run(stand: Stand, *words: str) -> Result:
    return CliRunner().invoke(umbel_command, words, obj=Invocation(given=stand.app))


def ok(stand: Stand, *words: str) -> Result:
    done = run(stand, *words)
    assert done.exit_code == 0, done.output
    return done


def _dead(stand: Stand) -> None:
    stand.put("a", "b")
    stand.work(fail=True)


def _nothing(stand: Stand) -> None:
    pass


#: Every command that changes something, what has to be there before, and the entry.
COMMANDS: dict[str, tuple[Callable[[Stand], object], str, str]] = {
    "cancel a": (lambda stand: stand.put("a"), "job.cancel", "a"),
    "dead replay a": (_dead, "letter.replay", "a"),
    "dead replay --all --canary --yes --patience 0.01s": (_dead, "letters.canary", "replaying=False"),
    "dead replay --all --yes": (_dead, "letters.replay", "replaying=False"),
    "dead drop a": (_dead, "letter.drop", "a"),
    "dead drop --all --yes": (_dead, "letters.drop", "all"),
    "pause celery": (_nothing, "queue.pause", QUEUE),
    "resume celery": (_nothing, "queue.resume", QUEUE),
    "purge --yes": (lambda stand: stand.put("a"), "queue.purge", QUEUE),
    "limits set shop.add 5/m": (_nothing, "limit.change", "shop.add"),
    "limits reset shop.add": (lambda stand: stand.app.limits.change("shop.add", "5/m"), "limit.reset", "shop.add"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_c44_a_command_is_one_entry(stand: Stand, command: str) -> None:
    prepare, action, target = COMMANDS[command]
    prepare(stand)
    done = run(stand, *command.split())
    # Nobody works here, so that a canary has not ended in time.
    assert done.exit_code == int("--canary" in command), done.output
    assert _NO_ENTRY not in done.stderr
    entries = [(one.actor, one.via, one.action, one.target, one.outcome) for one in stand.audit()]
    assert entries == [(getpass.getuser(), "cli", action, target, "done")]


def test_c44_so_is_what_could_not_be_done(stand: Stand) -> None:
    done = run(stand, "cancel", "nobody")
    assert (done.exit_code, "There is no job 'nobody'" in done.stderr) == (1, True)
    done = run(stand, "pause", QUEUE, "nonesuch")
    assert (done.exit_code, "There is no queue 'nonesuch'; there are: celery" in done.stderr) == (2, True)
    assert [(one.action, one.succeeded) for one in stand.audit()] == [("job.cancel", False), ("queue.pause", False)]


def test_without_an_audit_log_it_is_done_all_the_same_and_said_once(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnreachable("history", "it is away")

    _dead(stand)
    with monkeypatch.context() as patch:
        patch.setattr(stand.app.history.audit, "find", away)
        done = ok(stand, "dead", "drop", "a", "b")
    assert done.stdout == "Dropped 2 dead letters.\n"
    assert done.stderr.count(_NO_ENTRY) == 1
    with monkeypatch.context() as patch:
        # It goes away between the two.
        patch.setattr(stand.app.history.audit, "write", away)
        assert ok(stand, "pause", QUEUE).stderr.count(_NO_ENTRY) == 1
    assert stand.app.dead_letters.find() == []
    assert stand.engine.queues()[0].paused
    assert stand.audit() == []


_WITHOUT_SQLALCHEMY = """
import sys
if sys.argv.pop(1) == "missing":
    sys.modules["sqlalchemy"] = None
from umbel.cli import umbel_command
from umbel import Umbel
from umbel.cli.invocation import Invocation
shop = Umbel("shop", set_as_current=False)
for words in ("pause celery", "limits set queue:celery 5/m", "purge --yes", "dead drop --all"):
    umbel_command(words.split(), obj=Invocation(given=shop), standalone_mode=False)
assert [queue.paused for queue in shop.engine.queues()] == [True]
sys.exit(sys.modules.get("sqlalchemy") is not None)
"""


@pytest.mark.parametrize(("case", "reason"), [("off", "UMBEL_HISTORY is off."), ("missing", "pip install")])
def test_where_no_history_is_kept_sqlalchemy_is_not_even_imported(tmp_path: Path, case: str, reason: str) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "error", "UMBEL_HISTORY": "0" if case == "off" else "1"}
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_SQLALCHEMY, case],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert _NO_ENTRY in done.stderr
    assert reason in done.stderr
    assert not (tmp_path / ".umbel" / "history.db").exists()
