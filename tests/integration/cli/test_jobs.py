"""enqueue, why, cancel, purge and status, on a real store, without a worker."""

from __future__ import annotations

import json
import re
import sys

import pytest

from tests.integration.cli.conftest import Cli, on_terminal

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def test_enqueue_prints_the_id_and_nothing_else(shop: Cli) -> None:
    assert ID.fullmatch(shop.ok("enqueue", "add", "2", "3"))
    assert shop.ok("enqueue", "jobs.add", "2", "-3", "--id", "mine") == "mine"


def test_enqueue_checks_arguments_c13(shop: Cli) -> None:
    done = shop.run("enqueue", "add", "2")
    assert done.returncode == 2
    assert "jobs.add cannot be called like this" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(shop.ok("status", "--json"))["queues"] in ([], [_queue("celery", 0)])


def _queue(name: str, ready: int, delayed: int = 0) -> dict[str, object]:
    return {
        "name": name,
        "ready": ready,
        "delayed": delayed,
        "leased": 0,
        "suspect": 0,
        "consumers": 0,
        "paused": False,
    }


def test_enqueue_options_reach_the_message(shop: Cli) -> None:
    shop.ok("enqueue", "add", "1", "-k", "y=2", "--id", "a", "--priority", "9", "--queue", "other", "--countdown", "2h")
    told = json.loads(shop.ok("why", "a", "--json"))
    assert (told["reason"], told["queue"], told["task"]) == ("delayed", "other", "jobs.add")
    assert "in 2 h" in told["text"]


def test_wait_gives_up_truthfully(shop: Cli) -> None:
    done = shop.run("enqueue", "add", "1", "2", "--id", "a", "--wait", "--timeout", "0.2s")
    assert done.returncode == 69
    assert done.stderr.endswith("Error: Job a is still queued after 0.2 s and goes on: see 'umbel why a'.\n")


def test_why_without_a_worker_c4(shop: Cli) -> None:
    shop.ok("enqueue", "mail", "a@example.org", "--id", "a")
    told = shop.ok("why", "a")
    assert told.startswith("jobs.mail waits in 'mail'. Nothing consumes this queue (no worker is running)")


def test_why_of_an_unknown_job(shop: Cli) -> None:
    done = shop.run("why", "nonesuch")
    assert done.returncode == 1
    assert "Nothing is known of job 'nonesuch'" in done.stdout
    assert json.loads(shop.run("why", "nonesuch", "--json").stdout)["reason"] == "unknown"


def test_cancel_is_durable_without_a_worker_c22(shop: Cli) -> None:
    shop.ok("enqueue", "add", "1", "2", "--id", "a")
    assert shop.ok("cancel", "a") == "Job a is cancelled."
    assert "was cancelled" in shop.ok("why", "a")
    assert shop.ok("cancel", "a") == "Job a is cancelled."


def test_cancel_of_an_unknown_job_c22(shop: Cli) -> None:
    done = shop.run("cancel", "nonesuch")
    assert done.returncode == 1
    assert "There is no job 'nonesuch'" in done.stderr


def test_status_counts(shop: Cli) -> None:
    assert "Queues: none yet" in shop.ok("status") or "celery" in shop.ok("status")
    shop.ok("enqueue", "add", "1", "2")
    shop.ok("enqueue", "add", "1", "2", "--countdown", "1h")
    shop.ok("enqueue", "mail", "x")
    found = json.loads(shop.ok("status", "--json"))
    assert found["queues"] == [_queue("celery", 1, 1), _queue("mail", 1)]
    assert found["workers"] == []
    assert found["dead"] == []
    shown = shop.ok("status")
    assert re.search(r"^  celery +1 +1 +0 +0 +0$", shown, re.MULTILINE)
    assert "Workers: none is running" in shown
    assert "No worker consumes 'mail'" in shown
    assert "\x1b" not in shown


def test_purge_names_what_it_drops_and_asks(shop: Cli) -> None:
    shop.ok("enqueue", "add", "1", "2")
    shop.ok("enqueue", "add", "1", "2", "--countdown", "1h")
    shop.ok("enqueue", "mail", "x")
    shown = shop.ok("purge", "--dry-run")
    assert re.search(r"^  celery +1 +1 +0$", shown, re.MULTILINE)
    assert re.search(r"^  mail +1 +0 +0$", shown, re.MULTILINE)
    done = shop.run("purge")
    assert done.returncode == 2
    assert "add --yes" in done.stderr
    assert sum(queue["ready"] + queue["delayed"] for queue in _queues(shop)) == 3
    assert shop.ok("purge", "mail", "--yes").endswith("Dropped 1: 1 of mail")
    assert shop.ok("purge", "--yes").endswith("Dropped 2: 2 of celery")
    assert sum(queue["ready"] + queue["delayed"] for queue in _queues(shop)) == 0
    assert shop.ok("purge") == "Nothing waits, so there is nothing to drop."


def _queues(shop: Cli) -> list[dict[str, int]]:
    found: list[dict[str, int]] = json.loads(shop.ok("status", "--json"))["queues"]
    return found


def test_a_paused_queue_is_shown_everywhere_and_resumed(shop: Cli) -> None:
    job = shop.ok("enqueue", "mail", "x")
    assert "umbel resume mail" in shop.ok("pause", "mail")
    assert [queue["name"] for queue in _queues(shop) if queue["paused"]] == ["mail"]
    assert "'mail' is paused" in shop.ok("status")
    assert "its queue is paused" in shop.ok("why", job)
    assert "'mail' is paused" in shop.run("doctor").stdout
    shop.ok("resume", "mail")
    assert "paused" not in shop.ok("status") + shop.ok("why", job)


def test_pausing_an_unknown_queue_changes_nothing(shop: Cli) -> None:
    done = shop.run("pause", "celery", "nonesuch")
    assert done.returncode == 2
    assert "There is no queue 'nonesuch'; there are: celery" in done.stderr
    assert "paused" not in shop.ok("status")


def test_purge_of_an_unknown_queue_drops_nothing(shop: Cli) -> None:
    shop.ok("enqueue", "add", "1", "2")
    done = shop.run("purge", "celery", "nonesuch", "--yes")
    assert done.returncode == 2
    assert "There is no queue 'nonesuch'; there are: celery" in done.stderr
    assert _queues(shop)[0]["ready"] == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 1), ("y", 0, 0)])
def test_purge_asks_at_a_terminal(shop: Cli, answer: str, code: int, left: int) -> None:
    shop.ok("enqueue", "add", "1", "2")
    found, text = on_terminal([sys.executable, "-m", "umbel", "purge"], f"{answer}\n", shop.folder, shop.environment())
    assert "Drop this job? [y/N]" in text
    assert found == code
    assert _queues(shop)[0]["ready"] == left


@pytest.mark.parametrize("kind", ["foreign", "corrupt"])
def test_a_store_that_cannot_be_used_is_one_line(shop: Cli, kind: str) -> None:
    """Bad input of the issue: a foreign or corrupt SQLite file."""
    import sqlite3

    path = shop.folder / ".umbel" / "umbel.db"
    path.parent.mkdir()
    if kind == "foreign":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    else:
        path.write_bytes(b"this is no database at all, whatever its name says. " * 100)
    before = path.read_bytes()
    for arguments in (("status",), ("enqueue", "add", "1", "2")):
        done = shop.run(*arguments)
        assert done.returncode == 69
        assert done.stderr.count("\n") == 2  # which application was found, and the error
        assert str(path) in done.stderr
    assert path.read_bytes() == before
