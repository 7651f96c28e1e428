"""P8: pages of the dashboard over a history of a million jobs, in SQLite and in PostgreSQL.

Asked for over HTTP as a browser does, one after the other, through `umbel web`. A page's time is the 95th percentile of
its requests; the figure is that of the slowest page, and each page's stands in the raw data.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks import postgres_server
from benchmarks.bench import Bench
from benchmarks.environments import Missing, prepare
from benchmarks.figure import Figure
from benchmarks.percentile import percentile
from benchmarks.site import Broken
from benchmarks.subjects.subject import HERE

__all__ = ["pages"]

_PATIENCE = 60.0
_WITH_US = {**os.environ, "PYTHONPATH": str(HERE.parent)}
_FILL = 1800.0
_UMBEL = (sys.executable, "-m", "umbel")
#: What somebody opens; a name in braces is drawn anew for each request.
_PAGES = (
    "/",
    "/jobs",
    "/jobs?state=failed",
    "/jobs?task=shop.mail.a",
    "/jobs?task=shop.report.j&state=failed",
    "/jobs?tag=customer-77",
    "/jobs?text=someone4711",
    "/jobs/{job}",
    "/failures",
    "/tasks",
    "/tasks/shop.mail.a",
    "/queues",
    "/queues/celery",
)


def pages(bench: Bench) -> None:
    """Fill each database and open each page often."""
    for place in ("sqlite", "postgresql"):
        name = f"{place}_slowest_page_p95_ms"
        bench.say(f"pages: {bench.plan.many} jobs of history in {place}")
        try:
            found = _measure(bench, place)
        except (Broken, Missing, OSError, subprocess.SubprocessError) as error:
            bench.show(Figure("P8", name, None, note=str(error)))
            continue
        bench.sample("pages", place, {"milliseconds": found})
        slowest = max(found, key=lambda page: found[page])
        bench.show(Figure("P8", name, found[slowest], 100.0, 50.0, True, of=slowest))


def _measure(bench: Bench, place: str) -> dict[str, float]:
    runs = prepare() / "runs"
    runs.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pages-", dir=runs) as folder,
        nullcontext(f"sqlite:///{folder}/history.db") if place == "sqlite" else postgres_server.database() as url,
    ):
        address = url.replace("postgresql:", "postgresql+psycopg:")
        fill = [sys.executable, "-m", "benchmarks.inside.past", "--url", address, "--jobs", str(bench.plan.many)]
        done = subprocess.run(fill, env=_WITH_US, capture_output=True, text=True, timeout=_FILL)
        if done.returncode:
            raise Broken(done.stderr[-800:])
        with _served(Path(folder), address) as port:
            return _open_all(port, json.loads(done.stdout), bench.plan.page_views)


@contextmanager
def _served(folder: Path, history: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    variables = {**_WITH_US, "UMBEL_HISTORY_URL": history, "UMBEL_HISTORY": "1", "UMBEL_DATA_DIR": str(folder)}
    variables |= {"BENCH_URL": f"sqlite:///{folder}/jobs.db", "BENCH_DIR": str(folder)}
    app = ("-A", "benchmarks.inside.umbel_jobs:jobs")
    with (folder / "web.log").open("wb") as log:
        how: dict[str, Any] = {"env": variables, "cwd": folder, "stdout": log, "stderr": log}
        # So that there is a queue.
        subprocess.run([*_UMBEL, "enqueue", *app, "bench.noop", "1"], check=True, timeout=_PATIENCE, **how)
        process = subprocess.Popen([*_UMBEL, "web", *app, "--port", str(port)], **how)
    try:
        _await(port, process)
        yield port
    except Broken as broken:
        raise Broken(f"{broken}\n{(folder / 'web.log').read_text()[-800:]}") from broken
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Broken("umbel web did not start")


def _open_all(port: int, ids: list[str], views: int) -> dict[str, float]:
    draw = random.Random(7)
    times: dict[str, list[float]] = {page: [] for page in _PAGES}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    for number in range(views + 1):
        for page in _PAGES:
            begun = time.perf_counter()
            _open(connection, page.format(job=draw.choice(ids)))
            # The first round fills what is kept.
            if number:
                times[page].append((time.perf_counter() - begun) * 1000)
    connection.close()
    return {page: percentile(values, 0.95) for page, values in times.items()}


def _open(connection: http.client.HTTPConnection, path: str) -> Any:
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Broken(f"{path} answers {answer.status}: {body[:200]!r}")
    return body
