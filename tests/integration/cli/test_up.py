"""umbel up, beat and web, with real processes."""

from __future__ import annotations

import http.client
import json
import signal
import socket

import psutil

from tests.conftest import free_port
from tests.integration.cli.conftest import JOBS, Cli, until

TICKING = JOBS + "\njobs.conf.beat_schedule = {'tick': {'task': 'jobs.add', 'schedule': 0.2, 'args': (1, 2)}}\n"


def page(port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def serves(port: int) -> bool:
    try:
        return page(port)[0] == 200
    except OSError:
        return False


def test_up_runs_all_three_and_ends_them_c19(cli: Cli) -> None:
    cli.write("jobs.py", TICKING)
    port = free_port()
    running = cli.start("up", "--processes", "1", "--port", str(port))
    until(lambda: serves(port), "the dashboard")
    assert f"http://127.0.0.1:{port}" in running.text()
    assert cli.ok("enqueue", "add", "2", "3", "--wait") == "5"
    running.wait_for("jobs.add")
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert running.stop(signal.SIGINT) == 0
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family)
    assert "Traceback" not in running.text()


def test_up_ends_when_a_part_cannot_start(shop: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        running = shop.start("up", "--processes", "1", "--port", str(taken.getsockname()[1]))
        until(lambda: running.process.poll() is not None, "its end")
    assert running.process.returncode == 69
    assert "choose another --port" in running.text()
    assert "web ended with code 69" in running.text()


def test_web_serves_the_dashboard_behind_a_proxy(shop: Cli) -> None:
    shop.ok("enqueue", "mail", "x")
    port = free_port()
    running = shop.start("web", "--port", str(port), "--root-path", "/ops/")
    until(lambda: serves(port), "the dashboard")
    assert "mail" in page(port)[1]
    assert 'href="/ops/static/' in page(port)[1]
    assert f"Dashboard: http://127.0.0.1:{port}" in running.text()
    assert running.stop() == 0


def test_web_refuses_an_open_address_c44(shop: Cli) -> None:
    done = shop.run(
        "web",
        "--host",
        "0.0.0.0",  # noqa: S104
        "--port",
        str(free_port()),
    )
    assert done.returncode == 78
    assert "Traceback" not in done.stderr


def test_two_schedulers_tick_once_and_the_second_takes_over(cli: Cli) -> None:
    """Celery's beat made safe for two instances: each tick is dispatched once, a dead leader is replaced."""
    cli.write("jobs.py", TICKING.replace("0.2", "1.0"))
    first = cli.start("beat")
    second = cli.start("beat")

    def waiting() -> int:
        queues = json.loads(cli.ok("status", "--json"))["queues"]
        return sum(queue["ready"] for queue in queues)

    until(lambda: waiting() >= 2, "two ticks")
    first.process.kill()
    before = waiting()
    until(lambda: waiting() >= before + 2, "ticks of the survivor")
    assert second.stop() == 0
    assert "Traceback" not in second.text()
