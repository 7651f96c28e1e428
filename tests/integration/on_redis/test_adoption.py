"""C45, C46: the whole story of docs/guides/adopt.md with real processes.

A project of plain Celery's with jobs waiting, running and held for later takes Umbel by one line; both kinds of workers
run for a while; the plain one is stopped warm. Later an Umbel worker is killed, and the project goes back. Every job
runs once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from celery import Celery

from tests.integration.worker.plant import until
from tests.processes import end
from umbel import Umbel

DAY = 86_400.0
PLAIN = 'from celery import Celery\napp = Celery("shop", broker=url, backend=url)\nkind = "celery"'
OURS = 'from umbel import Umbel\napp = Umbel("shop", broker=url)\nkind = "umbel"'
SHOP = """
import os
import time

url = os.environ["SHOP_REDIS"]
{line}


def tell(word):
    with open("trail", "ab", buffering=0) as trail:
        trail.write(f"{{word}} {{kind}}\\n".encode())


@app.task(name="shop.note")
def note(word):
    tell(word)
    return word


@app.task(name="shop.hold")
def hold(word):
    open(f"began-{{word}}-{{kind}}", "w").close()
    while not os.path.exists("open-" + word):
        time.sleep(0.01)
    tell(word)
    return word
"""


class Shop:
    """The project's folder, its processes, and what its jobs told."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.client = redis.Redis.from_url(url)
        self.sent: dict[str, str] = {}
        self._running: list[subprocess.Popen[bytes]] = []

    def application(self, line: str) -> None:
        """Write the project with this line for its application."""
        (self.folder / "shop.py").write_text(SHOP.format(line=line))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"log-{len(self._running)}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    def environment(self) -> dict[str, str]:
        source = Path(__file__).resolve().parents[3] / "src"
        # The file changes within its time stamp's grain: compiled code of the old one must not be believed.
        quiet = {"PYTHONDONTWRITEBYTECODE": "1"}
        return {**os.environ, **quiet, "SHOP_REDIS": self.url, "PYTHONPATH": f"{source}{os.pathsep}{self.folder}"}

    def plain_worker(self) -> subprocess.Popen[bytes]:
        return self.start(
            "celery", "-A", "shop", "worker", "-P", "threads", "-c", "3", "--without-mingle", "--without-gossip"
        )

    def umbel_worker(self) -> subprocess.Popen[bytes]:
        return self.start("umbel", "worker", "-A", "shop:app", "--processes", "1", "-c", "3")

    def release(self) -> str:
        command = [sys.executable, "-m", "umbel", "release", "-A", "shop:app"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def send(self, app: Celery, task: str, *words: str, **options: Any) -> None:
        for word in words:
            self.sent[word] = app.send_task(f"shop.{task}", (word,), **options).id

    def told(self) -> dict[str, list[str]]:
        """Which kind of worker has run what, as often as it has."""
        found: dict[str, list[str]] = {}
        trail = self.folder / "trail"
        for line in trail.read_text().splitlines() if trail.exists() else ():
            word, kind = line.split()
            found.setdefault(word, []).append(kind)
        return found

    def began(self, word: str, kind: str) -> bool:
        return (self.folder / f"began-{word}-{kind}").exists()

    def open(self, *words: str) -> None:
        for word in words:
            (self.folder / f"open-{word}").touch()

    def held_by_plain(self) -> int:
        return int(self.client.hlen("unacked"))

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("log-*")))

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a process with all its descendants."""
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait()
        end(family, 60)

    def close(self) -> None:
        for process in self._running:
            self.kill(process)
        self.client.close()


@pytest.fixture
def shop(tmp_path: Path, redis_url: str) -> Iterator[Shop]:
    shop = Shop(tmp_path, redis_url)
    yield shop
    shop.close()


@pytest.fixture
def clients(redis_url: str) -> Iterator[tuple[Celery, Umbel]]:
    """A client of either kind."""
    plain = Celery("client", broker=redis_url, backend=redis_url, set_as_current=False)
    ours = Umbel("client", broker=redis_url, set_as_current=False)
    yield plain, ours
    ours.engine.close()
    ours.close()
    plain.close()


def words(kind: str, count: int) -> list[str]:
    return [f"{kind}-{number}" for number in range(count)]


@pytest.mark.slow
def test_c45_a_running_project_takes_umbel_and_goes_back(shop: Shop, clients: tuple[Celery, Umbel]) -> None:
    plain, ours = clients
    adopt(shop, plain, ours)
    everything = set(shop.sent) - {"tomorrow"}
    until(lambda: set(shop.told()) == everything, f"all jobs have run\n{shop.logs()}", 120)
    assert Counter(map(len, shop.told().values())) == {1: len(everything)}, shop.told()
    go_back(shop, plain, ours)
    everything = set(shop.sent) - {"tomorrow"}
    until(lambda: set(shop.told()) == everything, f"the plain worker has run the rest\n{shop.logs()}", 120)
    assert Counter(map(len, shop.told().values())) == {1: len(everything)}, shop.told()
    for word in everything:
        assert plain.AsyncResult(shop.sent[word]).get(timeout=60) == word
    # The one for tomorrow is where plain Celery keeps such: in its worker's memory, and unacknowledged at the store.
    until(lambda: shop.held_by_plain() == 1, f"the job for tomorrow is held\n{shop.logs()}")
    assert ours.engine.dead() == []


def adopt(shop: Shop, plain: Celery, ours: Umbel) -> None:
    """Waiting, running and delayed jobs of plain Celery's; then both kinds beside each other; then Umbel alone."""
    shop.application(PLAIN)
    first = shop.plain_worker()
    shop.send(plain, "hold", "running-1", "running-2")
    until(lambda: shop.began("running-1", "celery") and shop.began("running-2", "celery"), f"both run\n{shop.logs()}")
    shop.send(plain, "note", "tomorrow", countdown=DAY)
    shop.send(plain, "note", "soon-1", "soon-2", countdown=5)
    until(lambda: shop.held_by_plain() >= 3, "the plain worker holds the delayed ones in its memory")
    shop.send(plain, "note", *words("before", 20))

    shop.application(OURS)
    shop.umbel_worker()
    number = 0

    def both_work() -> bool:
        nonlocal number
        number += 1
        shop.send(plain, "note", f"plain-{number}")
        shop.send(ours, "note", f"ours-{number}")
        return {kind for kinds in shop.told().values() for kind in kinds} == {"celery", "umbel"}

    until(both_work, f"both kinds have run something\n{shop.logs()}", 120)
    first.send_signal(signal.SIGTERM)
    shop.send(ours, "note", *words("after", 20))
    shop.open("running-1", "running-2")
    assert first.wait(120) == 0, shop.logs()
    assert shop.told()["running-1"] == shop.told()["running-2"] == ["celery"]
    assert shop.held_by_plain() == 0, "what it held is back in its lists"
    until(lambda: ours.engine.queues()[0].delayed >= 1, "Umbel's worker has put the one for tomorrow into the store")


def go_back(shop: Shop, plain: Celery, ours: Umbel) -> None:
    """An Umbel worker that is killed while it runs a job, then jobs that wait, then release and a plain worker."""
    shop.send(ours, "hold", "crashed")
    until(lambda: shop.began("crashed", "umbel"), f"it runs\n{shop.logs()}")
    shop.kill(shop._running[1])
    shop.send(ours, "note", *words("waiting", 10))
    shop.send(ours, "note", *words("delayed", 3), countdown=2)
    shop.send(ours, "note", "cancelled")
    ours.cancel(shop.sent.pop("cancelled"))
    told = shop.release()
    assert told.startswith("Handed back: 4 delayed jobs, 1 suspects, 0 unfinished chords; 1 cancelled jobs"), told
    assert [one.delayed for one in ours.engine.queues()] == [0]
    shop.application(PLAIN)
    shop.open("crashed")
    shop.plain_worker()
