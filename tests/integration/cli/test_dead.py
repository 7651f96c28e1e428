"""C35, C36: umbel dead list, show, replay, drop and export, on a real store."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from sqlalchemy import update

from tests.integration.cli.conftest import Cli, Running, on_terminal, until
from umbel.monitor.canary_book import CanaryBook
from umbel.monitor.history import History
from umbel.monitor.tables import CANARIES


@pytest.fixture
def failed(shop: Cli) -> Cli:
    """A project in which three jobs have failed for good, and no worker runs any more."""
    worker = start(shop)
    for name in ("a", "b"):
        shop.ok("enqueue", "fail", "no luck", "--id", name)
    shop.ok("enqueue", "add", "1", "2", "--id", "c")
    until(lambda: len(listed(shop)) == 2, f"two dead letters; {worker.text()}")
    worker.stop()
    return shop


def start(shop: Cli, **extra: str) -> Running:
    worker = shop.start("worker", "--processes", "1", UMBEL_RELEASE="v7", **extra)
    worker.wait_for("ready")
    return worker


def listed(shop: Cli, *options: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(shop.ok("dead", "list", "--json", *options))
    return found


def test_an_empty_store_has_none(shop: Cli) -> None:
    assert shop.ok("dead", "list") == "Dead letters: none"
    assert listed(shop) == []
    assert shop.ok("dead", "export") == ""
    assert shop.ok("dead", "replay", "--all") == "No dead letter fits, so there is nothing to replay."
    assert shop.ok("dead", "drop", "--all") == "No dead letter fits, so there is nothing to drop."
    done = shop.run("dead", "show", "nobody")
    assert (done.returncode, "There is no dead letter 'nobody'" in done.stderr) == (1, True)


def test_list_show_and_export(failed: Cli) -> None:
    shown = failed.ok("dead", "list")
    assert "jobs.fail" in shown
    assert "ValueError: no luck" in shown
    assert {letter["key"] for letter in listed(failed)} == {"a", "b"}
    assert all("payload" not in letter for letter in listed(failed)), "arguments are not for a list"
    assert len(listed(failed, "--limit", "1")) == 1
    assert "--after" in failed.run("dead", "list", "--limit", "1").stderr
    assert listed(failed, "--exception", "KeyError") == []
    assert len(listed(failed, "--exception", "ValueError", "--since", "1h", "--release", "v7")) == 2
    assert listed(failed, "--before", "1h") == []
    (group,) = listed(failed, "--group")
    assert (group["count"], group["exception"], group["release"]) == (2, "ValueError", "v7")
    assert " 2 " in failed.ok("dead", "list", "--group")
    told = failed.ok("dead", "show", "a")
    assert "Attempt 1" in told
    assert "raise ValueError(text)" in told
    assert "no luck" in told
    document = json.loads(failed.ok("dead", "show", str(listed(failed)[0]["id"]), "--json"))
    assert document["payload"]["headers"]["task"] == "jobs.fail"
    assert document["failures"][0]["exception"] == "ValueError"
    lines = [json.loads(line) for line in failed.ok("dead", "export").splitlines()]
    assert {line["key"] for line in lines} == {"a", "b"}
    assert "umbel dead show a" in failed.ok("why", "a")


def test_replay_and_drop(failed: Cli) -> None:
    assert failed.ok("dead", "replay", "--all", "--dry-run") == "Would replay 2 dead letters."
    refused = failed.run("dead", "replay", "--all")
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert failed.ok("dead", "replay", "a") == "a runs again."
    busy = failed.run("dead", "replay", "a", "nobody", "b")
    assert busy.returncode == 1
    assert "A replay of 'a' is on its way" in busy.stderr
    assert "There is no dead letter 'nobody'" in busy.stderr
    assert "b runs again." in busy.stdout
    assert failed.ok("dead", "replay", "--all", "--yes").startswith("No dead letter fits")
    assert "on its way" in failed.ok("dead", "list")
    failed.write("jobs.py", (failed.folder / "jobs.py").read_text().replace("raise ValueError(text)", "return None"))
    start(failed)
    until(lambda: listed(failed) == [], "both have succeeded")
    assert "succeeded" in failed.ok("why", "a")


def test_drop_asks_before_it_drops_many(failed: Cli) -> None:
    refused = failed.run("dead", "drop", "--all")
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert failed.ok("dead", "drop", "--queue", "celery", "--dry-run") == "Would drop 2 dead letters."
    command = [sys.executable, "-m", "umbel", "dead", "drop", "--all"]
    code, shown = on_terminal(command, "n\n", failed.folder, failed.environment())
    assert (code, "Drop 2 dead letters?" in shown) == (1, True)
    assert len(listed(failed)) == 2
    assert failed.ok("dead", "drop", "a") == "Dropped 1 dead letter."
    assert failed.ok("dead", "drop", "--all", "--yes") == "Dropped 1 dead letter."
    assert listed(failed) == []


@pytest.mark.parametrize("command", ["replay", "drop"])
def test_which_letters_must_be_said_once(shop: Cli, command: str) -> None:
    for words in ((), ("a", "--all"), ("a", "--queue", "x")):
        done = shop.run("dead", command, *words)
        assert (done.returncode, "one of these" in done.stderr) == (2, True)


def test_a_canary_stops_and_says_so(failed: Cli) -> None:
    refused = failed.run("dead", "replay", "a", "--canary")
    assert (refused.returncode, "--canary is for all that fit" in refused.stderr) == (2, True)
    start(failed)
    done = failed.run("dead", "replay", "--all", "--canary", "--yes", "--patience", "60s")
    assert done.returncode == 1
    assert "1 replayed: 0 succeeded, 1 failed again, 0 go on" in done.stderr
    assert "Stopped: 1 of 1 replays failed again. 1 dead letter was left alone." in done.stderr
    assert len(listed(failed)) == 2


_BEGIN = """
import os
from jobs import jobs
from umbel.engine.letters import LetterFilter
from umbel.monitor.actors import cli_actor
letters = jobs.operations.letters
letters.begin_canary(letters.preview(LetterFilter()), by=cli_actor())
os._exit(0)
"""


@pytest.mark.slow
def test_a_canary_outlives_the_process_that_began_it(failed: Cli) -> None:
    """C36: the recorder of the workers goes on with it."""
    failed.write("jobs.py", (failed.folder / "jobs.py").read_text().replace("raise ValueError(text)", "return None"))
    command = [sys.executable, "-c", _BEGIN]
    subprocess.run(command, cwd=failed.folder, env=failed.environment(), check=True, timeout=60)
    history = History(f"sqlite:///{failed.folder / '.umbel' / 'history.db'}")
    # As if its process had been silent for long.
    history.database.write(lambda connection: connection.execute(update(CANARIES).values(beat=0.0)))
    start(failed, UMBEL_HISTORY="1")
    book = CanaryBook(history.database)
    until(lambda: book.all()[0].end is not None, "its end")
    assert (book.all()[0].end, book.all()[0].replayed) == ("done", 2)
    until(lambda: listed(failed) == [], "both have succeeded")
    until(lambda: history.audit.find().entries[0].action == "letters.canary.end", "its end in the audit log")
    history.close()


def test_a_canary_goes_through(failed: Cli) -> None:
    failed.write("jobs.py", (failed.folder / "jobs.py").read_text().replace("raise ValueError(text)", "return None"))
    start(failed)
    done = failed.run("dead", "replay", "--exception", "ValueError", "--canary", "--yes")
    assert (done.returncode, "Replayed 2 dead letters" in done.stdout) == (0, True)
    until(lambda: listed(failed) == [], "both have succeeded")
