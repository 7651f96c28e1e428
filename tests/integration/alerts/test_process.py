"""C38 in the recorder's own process: killed while it tells, it tells once more, and then never again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.integration.alerts.conftest import SECRET
from tests.integration.alerts.mailbox import Mailbox
from tests.integration.worker.plant import until
from tests.integration.worker.receiver import Receiver
from tests.warm import Warm
from umbel.cli import umbel_command
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing, Settled
from umbel.monitor.history import History
from umbel.testing.contract._suite import payload

_RUN = (
    "import sys; from umbel.monitor.alerts import alerter, notices; alerter._LOOK_SECONDS = 0.05; "
    "notices._CLAIM_SECONDS = 0.5; from umbel.monitor.__main__ import main; sys.exit(main())"
)


def start(folder: Path, webhook: str) -> subprocess.Popen[bytes]:
    """Start a recorder that looks often, and takes over quickly."""
    told = {
        "url": f"sqlite:///{folder / 'jobs.db'}",
        "engine": {},
        "history": {"url": f"sqlite:///{folder / 'history.db'}", "age": 60.0, "failures_age": 60.0, "most": 10},
        "loglevel": "INFO",
        "alerts": {
            "app": "shop",
            "thresholds": {"within": 600.0, "failures": 10, "dead_letters": 1, "wait": 300.0, "waits": []},
            "webhooks": {"urls": [webhook], "secret": SECRET, "allow": ["127.0.0.1"], "timeout": 30.0},
            "mail": {"url": None, "sender": None, "recipients": []},
            "rhythm": {"zone": "UTC", "entries": {}},
        },
    }
    log = (folder / "log").open("ab")
    process = subprocess.Popen([sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder)
    log.close()
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode() + b"\n")
    process.stdin.flush()
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def test_c38_killed_between_telling_and_noting(tmp_path: Path) -> None:
    engine = SQLiteEngine(tmp_path / "jobs.db")
    engine.open_lease("here@test", ["mail"], 1)
    held = threading.Event()

    def says(_: Any) -> tuple[int, dict[str, str]]:
        # The first is told, and its sender never hears so.
        if not held.is_set():
            held.set()
            end(process)
        return 200, {}

    receiver = Receiver(says)
    process = start(tmp_path, receiver.url)
    try:
        from umbel.engine.burial import letter_of

        engine.enqueue([Outgoing("mail", payload("a", task="shop.pay"), "a")])
        (one,) = engine.fetch({"mail": 0}, 1)
        engine.settle([Settled(one.seq, "ack", letter_of(one, "worker lost: its process died 3 times"))])
        until(held.is_set, "the first word")
        process = start(tmp_path, receiver.url)
        until(lambda: len(receiver.heard) == 2, f"the second word; {(tmp_path / 'log').read_text()}")
        history = History(f"sqlite:///{tmp_path / 'history.db'}")
        until(lambda: history.incidents.find().incidents[0].untold == (), "that it is noted")
        history.close()
        assert len(receiver.heard) == 2
        assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1
        body = json.loads(receiver.heard[1].body)
        assert (body["type"], body["data"]["rule"], body["data"]["subject"]) == (
            "alert.opened",
            "dead-letters",
            "shop.pay",
        )
        assert "worker lost" in body["data"]["summary"], "C17"
    finally:
        end(process)
        receiver.close()
        engine.close()


def test_the_command_line(project: Path, receiver: Receiver, box: Mailbox, warm: Warm, monkeypatch: Any) -> None:
    (project / "jobs.py").write_text("from umbel import Umbel\njobs = Umbel('shop')\n")
    settings = {
        "UMBEL_HISTORY": "1",
        "UMBEL_WEBHOOK_SECRET": SECRET,
        "UMBEL_WEBHOOK_ALLOW": "127.0.0.1",
        "UMBEL_ALERT_WEBHOOK": receiver.url,
        "UMBEL_ALERT_EMAIL": "ops@example.org",
        "UMBEL_ALERT_SMTP_URL": box.url,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def umbel(*words: str) -> Any:
        return warm.run(list(words), project, dict(os.environ))

    done = umbel("alerts", "test")
    assert done.returncode == 0, done.stderr
    assert [line.partition(" ")[0].rstrip(":") for line in done.stdout.splitlines()] == ["log", "webhook", "email"]
    assert json.loads(receiver.heard[0].body)["type"] == "alert.test"
    assert box.messages[0].get_content().startswith("This is a test.")
    box.says = "550 nobody here"
    done = umbel("alerts", "test")
    assert done.returncode == 1
    assert "email: SMTPDataError: 550 nobody here" in done.stdout
    history = History(f"sqlite:///{project / '.umbel' / 'history.db'}")
    from umbel.monitor.alerts.symptoms import Rule, Symptom

    history.incidents.open("store", [Symptom(rule=Rule.QUEUE_WAIT, subject="mail", summary="Jobs wait.")], ["log"])
    history.close()
    done = umbel("alerts", "list", "--json")
    (found,) = json.loads(done.stdout)
    assert (found["rule"], found["subject"], found["untold"]) == ("queue-wait", "mail", ["log"])
    assert "is not told yet by log" in umbel("alerts", "list").stderr
    done = umbel("alerts", "ack", "1", "--by", "ann")
    assert done.stdout == "ann looks after alert 1.\n"
    assert "ann" in umbel("alerts", "list", "--all").stdout
    assert umbel("alerts", "ack", "7").returncode == 2
    assert umbel("autoscale", "--min", "3").stdout == "3\n"
    assert json.loads(umbel("autoscale", "-Q", "mail", "--slots", "7", "--json").stdout)["load"]["slots"] == 7
    assert "Alerts go to log, webhook" in umbel("doctor").stdout
    assert CliRunner().invoke(umbel_command, ["alerts", "--help"]).exit_code == 0
