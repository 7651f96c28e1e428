"""The worlds: an application of this process, a broker, and the worker processes that serve it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

import psutil
import pytest
from celery import Celery

from tests.acceptance.semantics.application import CONSUMED, make
from tests.acceptance.semantics.trail import VARIABLE, Trail
from tests.acceptance.semantics.waiting import DEADLINE, until
from tests.unix_socket import listens
from tests.warm import Warm

__all__ = ("MODULE", "PLANS", "Addresses", "Plan", "Worker", "World", "environment", "open_world")

_ROOT: Final = Path(__file__).parents[3]
#: What the command lines load with ``-A``.
MODULE: Final = "tests.acceptance.semantics.worker"

#: Plain Celery ends with its last job.
_STOP_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One world on paper. ``nodes`` is how many worker nodes answer to ``inspect``."""

    name: str
    kind: str
    pool: str
    concurrency: int = 8
    nodes: int = 1
    store: str = "sqlite"

    @property
    def flavours(self) -> tuple[str, ...]:
        return ("sync",) if self.kind == "celery" else ("sync", "async")


PLANS: Final = {
    plan.name: plan
    for plan in (
        Plan("celery-redis", "celery", "threads"),
        Plan("celery-prefork", "celery", "prefork", concurrency=4),
        Plan("umbel", "umbel", "default", nodes=2),
        Plan("umbel-prefork", "umbel", "prefork", concurrency=4),
        Plan("umbel-redis", "umbel", "default", nodes=2, store="redis"),
        Plan("umbel-rabbit", "umbel", "default", nodes=2, store="rabbit"),
    )
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a world keeps messages, and what is not kept beside them: results, or all that is no message."""

    broker: str
    backend: str | None = None
    state: str | None = None


@dataclass(slots=True)
class World:
    """A running world."""

    plan: Plan
    folder: Path
    addresses: Addresses
    app: Celery
    trail: Trail
    warm: Warm

    @property
    def name(self) -> str:
        return self.plan.name

    def inspect(self, timeout: float = DEADLINE, **options: Any) -> Any:
        """An ``Inspect`` that returns as soon as every node has answered."""
        return self.app.control.inspect(timeout=timeout, limit=self.plan.nodes, **options)

    def control(self, command: str, **arguments: Any) -> list[dict[str, Any]]:
        """Broadcast a command, and return the answer of every node."""
        replies = self.app.control.broadcast(
            command, arguments=arguments, reply=True, timeout=DEADLINE, limit=self.plan.nodes
        )
        return [answer for reply in replies or [] for answer in reply.values()]

    @contextlib.contextmanager
    def worker(
        self, *extra: str, concurrency: int | None = None, queues: Sequence[str] = CONSUMED, nodes: int = 1
    ) -> Iterator[Worker]:
        """Run one more worker in this world until the block ends."""
        command = [*_command(self.plan, nodes), "-c", str(concurrency or self.plan.concurrency), *extra]
        worker = Worker.start(self, [*command, "-Q", ",".join(queues)], nodes)
        try:
            yield worker
        finally:
            worker.stop()


@dataclass(slots=True)
class Worker:
    """A worker's process tree; ``nodes`` are the names under which it answers."""

    process: subprocess.Popen[bytes]
    lifeline: int
    log: Path
    nodes: list[str]

    @classmethod
    def start(cls, world: World, command: list[str], nodes: int) -> Worker:
        before = len(world.trail.notes("worker", "ready"))
        log = world.folder / f"worker-{before}.log"
        with log.open("wb") as output:
            process, lifeline = _spawn(command, environment(world), output)
        worker = cls(process, lifeline, log, [])
        try:
            until(lambda: worker._ready(world, before, nodes), f"worker of {world.name} is ready")
        except BaseException:
            worker.stop()
            raise
        worker.nodes = [entry["hostname"] for entry in world.trail.notes("worker", "ready")[before:]]
        return worker

    def stop(self) -> int:
        """Ask the worker to stop, and kill what is left of it; return its exit code."""
        family = _family(self.process)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        os.close(self.lifeline)
        return code

    def _ready(self, world: World, before: int, nodes: int) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"the worker of {world.name} ended at once:\n{self.log.read_text(errors='replace')[-6000:]}")
        return len(world.trail.notes("worker", "ready")) - before >= nodes


@contextlib.contextmanager
def open_world(plan: Plan, folder: Path, rabbit: Callable[[], str], warm: Warm) -> Iterator[World]:
    """Start the broker, the application and the worker of a plan, and end them all.

    ``rabbit`` returns the URL of an unused virtual host, where the plan wants one; ``warm`` runs commands.
    """
    with contextlib.ExitStack() as stack:
        addresses = _store(plan, folder, rabbit, stack)
        app = make(plan.kind, addresses.broker, addresses.backend, addresses.state)
        stack.callback(app.close)
        world = World(plan, folder, addresses, app, Trail(folder / "trail.jsonl"), warm)
        stack.enter_context(world.worker("-E", nodes=plan.nodes))
        yield world
        # results that a failed test still holds must not look for a broker that is gone
        app.backend.remove_pending_result = lambda result: result  # type: ignore[method-assign]


def _store(plan: Plan, folder: Path, rabbit: Callable[[], str], stack: contextlib.ExitStack) -> Addresses:
    if plan.kind == "umbel" and plan.store == "sqlite":
        return Addresses(f"sqlite:///{folder / 'umbel.db'}")
    if plan.store == "rabbit":
        broker = rabbit()
        return Addresses(broker, state=f"redis+{stack.enter_context(_redis())}")
    url = f"redis+{stack.enter_context(_redis())}"
    return Addresses(url, backend=None if plan.kind == "umbel" else url)


@contextlib.contextmanager
def _redis() -> Iterator[str]:
    """A Redis of our own behind a socket file, so that there is no port to race for."""
    program = shutil.which("redis-server")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("missing server: redis-server")
    with tempfile.TemporaryDirectory(prefix="semantics-") as folder:
        path = Path(folder) / "redis.sock"
        arguments = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
        try:
            until(lambda: listens(path), "redis-server listens")
            yield f"socket://{path}"
        finally:
            process.terminate()
            process.wait()


def _command(plan: Plan, nodes: int) -> list[str]:
    # a name of its own: two workers of one name would both take what is meant for one
    name = ("-n", f"{os.urandom(4).hex()}@%h")
    if plan.kind == "umbel":
        return [
            sys.executable,
            "-m",
            "umbel",
            "worker",
            "-A",
            MODULE,
            "-P",
            plan.pool,
            "--processes",
            str(nodes),
            *name,
        ]
    options = ["--pool", plan.pool, "--without-mingle", "--without-gossip", "-l", "INFO"]
    return [sys.executable, "-m", "celery", "-A", MODULE, "worker", *options, *name]


def environment(world: World) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UMBEL_", "CELERY_"))}
    addresses = {f"SEMANTICS_{name.upper()}": url for name, url in asdict(world.addresses).items() if url}
    return {
        **kept,
        **addresses,
        "UMBEL_HISTORY": "0",
        "PYTHONPATH": os.pathsep.join((str(_ROOT), str(_ROOT / "src"))),
        "PYTHONUNBUFFERED": "1",
        "SEMANTICS_KIND": world.plan.kind,
        VARIABLE: str(world.trail.path),
    }


def _spawn(command: list[str], variables: dict[str, str], output: IO[bytes]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a worker that ends when this process does, however that happens."""
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env={**variables, "UMBEL_PARENT_FD": str(reading)},
            pass_fds=(reading,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    finally:
        os.close(reading)
    return process, writing


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
