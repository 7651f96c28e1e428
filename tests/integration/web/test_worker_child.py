"""The worker beside a web process: started again when it dies, gone when the web process is (C14, C19)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.integration.web.stub_app import DEADLINE, StubUmbel, until
from umbel.errors import ConfigurationError
from umbel.web import lifespan as lifespan_module
from umbel.web.lifespan import build_lifespan
from umbel.web.worker_child import WorkerChild

ROOT = Path(__file__).resolve().parents[3]

# Like the supervisor: ends at the end of file of the parent's pipe or on SIGTERM, and says which in its log.
CHILD = """
import os, select, signal, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
stubborn = "stubborn" in sys.argv
def end(*_):
    os.write(log, b"term\\n")
    if not stubborn:
        os._exit(0)
signal.signal(signal.SIGTERM, end)
os.write(log, b"start %d\\n" % os.getpid())
if stubborn and os.fork() == 0:
    os.write(log, b"start %d\\n" % os.getpid())
    while True:
        signal.pause()
os.read(int(os.environ["UMBEL_PARENT_FD"]), 1)
os.write(log, b"orphaned\\n")
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


def words(log: Path) -> list[str]:
    return log.read_text().splitlines()


def pids(log: Path) -> list[int]:
    return [int(word.split()[1]) for word in words(log) if word.startswith("start")]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Whoever adopts an orphan may be slow to collect it.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


async def eventually(condition: Callable[[], Any], what: str) -> Any:
    return await asyncio.to_thread(until, condition, what)


def child_of(log: Path, *words: str, grace: float = DEADLINE) -> WorkerChild:
    return WorkerChild([sys.executable, "-c", CHILD, str(log), *words], os.environ, grace=grace)


@asynccontextmanager
async def living(log: Path, *words: str, grace: float = DEADLINE) -> AsyncIterator[WorkerChild]:
    """A child that has started, and is gone afterwards: uvloop waits for it without an end when it is closed."""
    child = child_of(log, *words, grace=grace)
    await child.start()
    try:
        yield child
    finally:
        await child.stop()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(coroutine: Any) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return run


def test_c19_stop_sends_sigterm_and_waits(log: Path, run: Callable[[Any], Any]) -> None:
    async def scenario() -> None:
        async with living(log) as child:
            (pid,) = await eventually(lambda: pids(log), "the child started")
            assert child.pid == pid
            assert os.getpgid(pid) == pid, "a Ctrl-C in the terminal is for the web process only"
        assert child.pid is None
        assert words(log)[1:] == ["term"]
        assert not is_running(pid)

    run(scenario())


def test_c14_a_child_that_dies_is_started_again(log: Path, run: Callable[[Any], Any]) -> None:
    async def scenario() -> None:
        async with living(log) as child:
            (first,) = await eventually(lambda: pids(log), "the child started")
            opened = len(os.listdir("/dev/fd"))
            os.kill(first, signal.SIGKILL)
            await eventually(lambda: len(pids(log)) == 2, "another child started")
            second = pids(log)[1]
            # It may say so before this loop has seen to it.
            await eventually(lambda: child.pid == second, "it is known")
            assert len(os.listdir("/dev/fd")) == opened, "the pipe to the dead child was closed"
        assert not is_running(second)

    run(scenario())


def test_c19_a_child_that_ignores_sigterm_is_killed_with_its_group(
    log: Path, run: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("umbel.web.worker_child._SECOND_GRACE", 0.1)

    async def scenario() -> None:
        async with living(log, "stubborn", grace=0.1):
            await eventually(lambda: len(pids(log)) == 2, "the child and its own child started")
        try:
            for pid in pids(log):
                await eventually(lambda pid=pid: not is_running(pid), f"{pid} has gone")
        finally:
            for pid in filter(is_running, pids(log)):
                os.kill(pid, signal.SIGKILL)
        assert words(log).count("term") == 2, "asked twice before it was killed"

    run(scenario())


def test_stop_before_and_during_a_restart_leaves_nothing(log: Path, run: Callable[[Any], Any]) -> None:
    async def scenario() -> None:
        await child_of(log).stop()
        async with living(log) as child:
            (pid,) = await eventually(lambda: pids(log), "the child started")
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: child.pid is None, "its death was seen")

    run(scenario())
    assert len(pids(log)) == 1


WEB = """
import asyncio, os, sys
from umbel.web.worker_child import WorkerChild

async def main():
    await WorkerChild([sys.executable, "-c", sys.argv[1], sys.argv[2]], os.environ, grace=5).start()
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_c14_a_killed_web_process_leaves_no_orphan(log: Path) -> None:
    environ = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen([sys.executable, "-c", WEB, CHILD, str(log)], env=environ) as web:
        try:
            (pid,) = until(lambda: pids(log), "the child started")
            assert words(log) == [f"start {pid}"]
        finally:
            web.kill()
    until(lambda: "orphaned" in words(log), "the child saw the end of its parent")
    until(lambda: not is_running(pid), "the child has gone")


@pytest.fixture
def worker(log: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Take the place of the worker's command; returns what the lifespan asked for."""
    asked: list[Any] = []

    def child(command: Any, environ: Any, *, grace: float) -> WorkerChild:
        asked.append((command, environ, grace))
        return child_of(log)

    monkeypatch.setattr(lifespan_module, "WorkerChild", child)
    return asked


class WithPath(StubUmbel):
    def import_path(self) -> str:
        return "tests.integration.web.stub_app:umbel"


def test_lifespan_runs_a_worker_and_closes_what_is_open(log: Path, worker: list[Any]) -> None:
    umbel = WithPath()

    async def scenario() -> None:
        async with build_lifespan(umbel, worker=True, processes=3)(None) as state:  # type: ignore[arg-type]
            assert state is None
            await eventually(lambda: pids(log), "the worker started")
            assert umbel.closed == 0
        assert words(log)[1:] == ["term"]
        assert umbel.closed == 3

    asyncio.run(scenario())
    command, environ, _ = worker[0]
    assert command[:4] == [sys.executable, "-m", "umbel", "worker"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options == {"-A": "tests.integration.web.stub_app:umbel", "--processes": "3", "--grace": "10s"}
    assert str(ROOT) in environ["PYTHONPATH"].split(os.pathsep), "the module is found as it was found here"


def test_lifespan_enters_the_applications_own_within_it(log: Path, worker: list[Any]) -> None:
    umbel = WithPath()
    order: list[Any] = []

    @asynccontextmanager
    async def own(web: Any) -> AsyncIterator[dict[str, int]]:
        order.append((web, len(worker)))
        yield {"database": 1}
        order.append(umbel.closed)

    async def scenario() -> None:
        async with build_lifespan(umbel, worker=True, inner=own)("api") as state:  # type: ignore[arg-type]
            assert state == {"database": 1}

    asyncio.run(scenario())
    assert order == [("api", 1), 0]
    assert umbel.closed == 3


def test_lifespan_ends_the_worker_when_the_applications_start_fails(log: Path, worker: list[Any]) -> None:
    @asynccontextmanager
    async def own(web: Any) -> AsyncIterator[None]:
        await eventually(lambda: pids(log), "the worker started")
        raise RuntimeError("no database")
        yield

    async def scenario() -> None:
        async with build_lifespan(WithPath(), worker=True, inner=own)(None):  # type: ignore[arg-type]
            pass

    with pytest.raises(RuntimeError, match="no database"):
        asyncio.run(scenario())
    assert words(log)[1:] == ["term"]


def test_lifespan_says_what_to_pass_when_the_module_cannot_be_told(worker: list[Any]) -> None:
    class Interactive(StubUmbel):
        def import_path(self) -> str:
            raise ConfigurationError("no module holds it")

    async def scenario(**options: Any) -> None:
        async with build_lifespan(Interactive(), worker=True, **options)(None):  # type: ignore[arg-type]
            pass

    with pytest.raises(ConfigurationError, match=r'pass lifespan\(worker=True, app="module:attr"\)'):
        asyncio.run(scenario())
    asyncio.run(scenario(app="shop.jobs:jobs"))
    assert "shop.jobs:jobs" in worker[0][0]


def test_lifespan_refuses_no_processes() -> None:
    with pytest.raises(ConfigurationError, match="processes=0"):
        build_lifespan(StubUmbel(), worker=True, processes=0)  # type: ignore[arg-type]
