"""What every test may use: private folders, free ports, a private Redis, and a loud word about what could not run."""

from __future__ import annotations

import compileall
import contextlib
import gc
import itertools
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil
import psycopg
import pytest

from tests.postgres import PostgresServer, running_postgres
from tests.rabbit import RabbitServer, is_installed, running_rabbit
from tests.together import Together, write_down
from tests.warm import Warm

__all__ = ["RedisServer", "free_port", "miss", "need_program"]

_ROOT = Path(__file__).resolve().parent.parent
_MISSING = "missing server: "
_START_SECONDS = 10.0
_START_TRIES = 5
#: Of the private Redis. The first sixteen are for those who name one themselves.
_DATABASES = 512
_databases = itertools.cycle(range(16, _DATABASES))
_CLIENT_PORT = re.compile(r" addr=[^ ]+:(\d+) ")


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis of our own on loopback: nothing on disk, gone with the test session."""

    host: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        return f"redis://{self.host}:{self.port}/{database}"

    def command(self, *words: str) -> bytes:
        """Send one inline command and return its answer: a status line, or the content of a bulk string."""
        with socket.create_connection((self.host, self.port), timeout=5) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            answer = connection.makefile("rb")
            first = answer.readline().strip()
            return answer.read(int(first[1:])) if first.startswith(b"$") and first != b"$-1" else first

    def strangers(self) -> list[int]:
        """Return the ports of those connected from other processes: what an earlier test has started and not ended."""
        own = {one.laddr.port for one in psutil.Process().net_connections("tcp")}
        lines = self.command("CLIENT", "LIST").decode().splitlines()
        found = [_CLIENT_PORT.search(line) for line in lines if "cmd=client" not in line]
        return [port for port in (int(one[1]) for one in found if one) if port not in own]


def _named(ports: list[int]) -> list[str]:
    """Return the commands of the processes that hold these ports."""
    found = []
    for one in psutil.net_connections("tcp"):
        if one.laddr.port in ports and one.pid is not None:
            with contextlib.suppress(psutil.Error):
                found.append(" ".join(psutil.Process(one.pid).cmdline())[:300])
    return found


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def need_program(name: str, package: str | None = None, *places: str) -> str:
    """Return the path of a server program; without it skip the test, or fail it when CI is set.

    ``places`` are patterns of folders to look in after the PATH, the newest version first.
    """
    folders = [str(folder) for place in places for folder in sorted(Path("/").glob(place.lstrip("/")), reverse=True)]
    path = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    if path is not None:
        return path
    return miss(package or name)


def miss(name: str) -> NoReturn:
    """Skip a test that cannot run for want of ``name``, or fail it when CI is set."""
    reason = f"{_MISSING}{name}"
    if in_ci():
        pytest.fail(f"{reason}; with CI=true it must be installed (scripts/install-test-servers)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_umbel_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not reach a test."""
    for name in list(os.environ):
        if name.startswith(("UMBEL_", "CELERY_")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    # Tests of the history begin it themselves: most others start many workers, and each would start a recorder.
    monkeypatch.setenv("UMBEL_HISTORY", "0")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder with a pyproject.toml, and the current folder of the test."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """What runs Umbel's commands, each in a process that has imported already what it needs."""
    made = Warm()
    yield made
    made.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A private redis-server on a free port, without persistence, killed by its pid at the end."""
    program = need_program("redis-server")
    process, server = _start_redis(program)
    try:
        yield server
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of a database of this test's own in the private Redis, with nobody of an earlier test there.

    One who was still starting when its test ended looks for work where that test had it.
    """
    deadline = time.monotonic() + _START_SECONDS
    while left := redis_server.strangers():
        if time.monotonic() > deadline:
            pytest.fail(f"still connected from an earlier test: {_named(left)}")
        time.sleep(0.02)
    assert redis_server.command("FLUSHALL") == b"+OK"
    return redis_server.url_of(next(_databases))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A private PostgreSQL on a free port."""
    with running_postgres(need_program) as server:
        yield server


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> str:
    """The URL of the private PostgreSQL, as SQLAlchemy takes it."""
    return postgres.url


@pytest.fixture
def postgres_state_url(postgres: PostgresServer) -> str:
    """The same, without a table of Umbel's."""
    with psycopg.connect(postgres.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA IF EXISTS umbel CASCADE")
    return postgres.url


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer]:
    """A private RabbitMQ node on free ports, ended by its pid."""
    if not is_installed():
        need_program("rabbitmq-server")
    with running_rabbit() as server:
        yield server


@pytest.fixture
def rabbit_url(rabbit_server: RabbitServer) -> str:
    """The URL of a virtual host of this test's own."""
    return rabbit_server.new_url()


def _start_redis(program: str) -> tuple[subprocess.Popen[bytes], RedisServer]:
    for _ in range(_START_TRIES):  # another process may take the port between the probe and the start
        port = free_port()
        arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        arguments += ["--databases", str(_DATABASES)]
        process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = RedisServer("127.0.0.1", port, process.pid)
        if _answers(process, server):
            return process, server
        process.kill()
        process.wait()
    pytest.fail(f"redis-server did not start on any of {_START_TRIES} ports", pytrace=False)


def _answers(process: subprocess.Popen[bytes], server: RedisServer) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return f"process_id:{server.pid}\r\n".encode() in server.command("INFO", "server")
        time.sleep(0.02)
    return False


def pytest_configure(config: pytest.Config) -> None:
    """Compile once what the tests' processes import, as in an installed package, also where Python writes no bytecode.

    A worker process starts in half the processor time.
    """
    # What is collected stays to the end: looking for garbage among it is a quarter of collecting, and of each full look
    # after that. Whoever only distributes tests collects none.
    if config.getoption("dist", "no") == "no":
        gc.disable()
    # As below, for what is started for a whole module.
    os.environ["UMBEL_HISTORY"] = "0"
    if not hasattr(config, "workerinput"):
        for folder in ("src", "services", "tests"):
            compileall.compile_dir(_ROOT / folder, quiet=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share something dear go to one process of ``pytest -n 6 --dist loadgroup``, which starts it once."""
    for item in items:
        group = _group(item)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(tryfirst=True)  # before xdist, which tells the scheduler
def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()
    if hasattr(session.config, "workerinput"):
        write_down(session.config, session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return Together(config, log) if config.getvalue("dist") == "loadgroup" else None


def _group(item: pytest.Item) -> str | None:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if "world" in parameters:
        return str(parameters["world"])
    for name in ("running", "shared"):
        if name in parameters:
            return f"{item.nodeid.partition('::')[0]} {parameters[name]}"
    used = getattr(item, "fixturenames", ())
    return "browser" if "browser" in used else "rabbit" if "rabbit_server" in used else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in plain words, after all dots, which servers were missing and how many tests that cost."""
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if _MISSING in reason:
            name = reason.split(_MISSING, 1)[1].strip()
            counts[name] = counts.get(name, 0) + 1
    for name, count in sorted(counts.items()):
        terminalreporter.write_sep("!", f"{count} tests DID NOT RUN: {name} is not installed", red=True, bold=True)
    if counts:
        terminalreporter.write_line("Install what is missing (scripts/install-test-servers does it on Debian as root).")
