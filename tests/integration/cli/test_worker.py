"""umbel worker, with real processes: jobs run, the console tells of them, signals end it truthfully."""

from __future__ import annotations

import json
import signal

import psutil
import pytest

from tests.integration.cli.conftest import Cli, Running, until


@pytest.fixture
def worker(shop: Cli) -> Running:
    running = shop.start("worker", "--processes", "1")
    until(lambda: json.loads(shop.ok("status", "--json"))["workers"], "a worker in the status")
    return running


def test_a_job_from_enqueue_to_its_result(shop: Cli, worker: Running) -> None:
    assert shop.ok("enqueue", "add", "2", "3", "--wait") == "5"
    assert shop.ok("enqueue", "aadd", "2", "3", "--wait", "--id", "a") == "5"
    assert "jobs.aadd succeeded" in shop.ok("why", "a")
    assert worker.stop() == 0


def test_a_failed_job_is_a_failure_everywhere(shop: Cli, worker: Running) -> None:
    done = shop.run("enqueue", "fail", "no luck", "--wait", "--id", "a")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ValueError" in done.stderr
    assert "no luck" in done.stderr
    assert "Traceback" not in done.stderr
    assert "no luck" in shop.ok("why", "a")


def test_the_console_shows_jobs_prints_and_tracebacks_with_their_job(shop: Cli, worker: Running) -> None:
    shop.ok("enqueue", "shout", "hello from", "-k", "more=inside", "--wait", "--id", "first-job")
    shop.run("enqueue", "fail", "no luck", "--wait", "--id", "second-job")
    shop.ok("enqueue", "chat", "Ann", "Bob", "--wait", "--id", "third-job")
    worker.wait_for("jobs.chat[third-job] succeeded")
    lines = worker.text().splitlines()
    first = [line for line in lines if "jobs.shout[first-job]" in line]
    for part, line in zip(("received", "hello from inside", "succeeded"), first, strict=True):
        assert part in line
    assert " PRINT " in first[1]
    for name in ("Ann", "Bob"):
        assert any(f"jobs.chat[third-job] I am {name}" in line for line in lines)
    (failed,) = [line for line in lines if "jobs.fail[second-job]" in line and "ValueError('no luck')" in line]
    assert lines[lines.index(failed) + 1] == "Traceback (most recent call last):"


def test_why_names_the_worker_of_a_running_job(shop: Cli, worker: Running) -> None:
    shop.ok("enqueue", "nap", "60", "--id", "a")
    until(lambda: json.loads(shop.ok("why", "a", "--json"))["reason"] == "running", "the job runs")
    assert "is running on" in shop.ok("why", "a")
    assert shop.ok("cancel", "a").startswith("Job a is")
    until(lambda: json.loads(shop.ok("why", "a", "--json"))["reason"] == "cancelled", "the job is cancelled (C22)")


def test_doctor_knows_what_is_consumed_c4(shop: Cli) -> None:
    done = shop.run("doctor")
    assert done.returncode == 1
    assert "PROBLEM queues: 'celery'" in done.stdout
    shop.start("worker", "--processes", "1", "-Q", "celery")
    until(lambda: "'celery'" not in shop.run("doctor").stdout, "a consumer of celery")
    done = shop.run("doctor", "--json")
    assert done.returncode == 1
    texts = [finding["text"] for finding in json.loads(done.stdout)["findings"] if finding["level"] == "problem"]
    assert len(texts) == 1
    assert texts[0].startswith("'mail', used by jobs.mail")


def test_doctor_is_content_when_all_is_well(shop: Cli, worker: Running) -> None:
    done = shop.run("doctor")
    assert done.stdout.endswith("0 problems.\n"), done.stdout
    assert done.returncode == 0


def test_the_supervisor_does_not_import_the_application(shop: Cli) -> None:
    note = "\nimport os\nwith open('importers', 'a') as file:\n    file.write(f'{os.getpid()}\\n')\n"
    shop.write("jobs.py", (shop.folder / "jobs.py").read_text() + note)
    running = shop.start("worker", "--processes", "1")
    until(lambda: (shop.folder / "importers").exists(), "the application is imported")
    running.wait_for("ready")
    children = {child.pid for child in psutil.Process(running.process.pid).children(recursive=True)}
    assert {int(pid) for pid in (shop.folder / "importers").read_text().split()} <= children


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_c19(shop: Cli, worker: Running, number: int) -> None:
    children = psutil.Process(worker.process.pid).children(recursive=True)
    assert worker.stop(number) == 0
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert json.loads(shop.ok("status", "--json"))["workers"] == []


def test_reload_takes_up_new_code_c19(shop: Cli) -> None:
    running = shop.start("worker", "--processes", "1", "--reload")
    assert shop.ok("enqueue", "add", "2", "3", "--wait") == "5"
    text = (shop.folder / "jobs.py").read_text()
    shop.write("jobs.py", text.replace("return x + y", "return x * y"))
    running.wait_for("Reloading: jobs.py changed")
    until(lambda: shop.ok("enqueue", "add", "2", "3", "--wait") == "6", "the new code")
    assert running.stop() == 0


def test_a_pidfile_is_written_and_removed(shop: Cli) -> None:
    running = shop.start("worker", "--processes", "1", "--pidfile", "w.pid")
    path = shop.folder / "w.pid"
    until(lambda: path.exists() and path.read_text().strip(), "the pid file")
    assert int(path.read_text()) == running.process.pid
    assert running.stop() == 0
    assert not path.exists()


def test_an_application_that_does_not_import_ends_with_78(cli: Cli) -> None:
    """Bad input of the issue: a module that does not import."""
    cli.write("jobs.py", "from umbel import Umbel\nimport missing_thing\njobs = Umbel('shop')\n")
    running = cli.start("worker", "--processes", "1")
    until(lambda: running.process.poll() is not None, "its end")
    assert running.process.returncode == 78
    assert "No module named 'missing_thing' (jobs.py, line 2" in running.text()
    assert "Traceback" not in running.text()


def test_an_application_that_is_not_there_ends_with_78(cli: Cli) -> None:
    assert cli.run("worker", "nowhere.jobs").returncode == 78
    assert cli.run("worker").returncode == 78


def test_src_layout_works_uninstalled(cli: Cli) -> None:
    cli.write("src/store/__init__.py", "")
    cli.write(
        "src/store/jobs.py", "from umbel import Umbel\njobs = Umbel('s')\n@jobs.task\ndef one() -> int:\n    return 1\n"
    )
    running = cli.start("worker", "--processes", "1")
    assert cli.ok("enqueue", "one", "--wait") == "1"
    assert running.stop() == 0
