"""A picture of each page of the dashboard, of a shop full of life: `screenshots [--keep FOLDER] [PAGE...]`.

The shop has a day behind it (`demo_past`) and is at work: a batch on its way, a workflow, jobs that fail, a queue that
nobody consumes, one that is paused. Everything runs on loopback in a folder of its own, and ends with the script.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "assets" / "dashboard"
#: All pictures together, in bytes.
MOST = 2 * 2**20
COLOURS = 48
SIZES = {"desktop": {"width": 1180, "height": 760}, "phone": {"width": 390, "height": 760}}
THEMES = ("light", "dark")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DEADLINE = 60.0


def main(arguments: list[str]) -> int:
    """Make all pictures, or those of the pages that are named."""
    with tempfile.TemporaryDirectory(prefix="umbel-shop-") as name:
        os.environ |= environment(Path(name))
        sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
        with (
            running("worker", "-n", "shop@web1", "--processes", "2", "-c", "4", "-B", "-Q", QUEUES),
            running_web() as address,
        ):
            pages = live(address)
            chosen = {page: path for page, path in pages.items() if not arguments or page in arguments}
            photograph(address, chosen)
    return check_size()


QUEUES = "celery,mail,payments,images,imports,reports,newsletter"


def environment(folder: Path) -> dict[str, str]:
    """Return what every process of the shop knows. Tracebacks are in pictures, and where this is checked out is not."""
    links = [folder / "shop", folder / "lib"]
    for link, target in zip(links, ("scripts", "src"), strict=True):
        link.symlink_to(ROOT / target)
    return {
        "SHOP_BROKER": f"sqlite:///{folder / 'shop.db'}",
        "UMBEL_DATA_DIR": str(folder),
        "UMBEL_PAYLOAD_KEYS": f"shop:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "UMBEL_RELEASE": "2.10.0",
        "PYTHONPATH": os.pathsep.join(map(str, links)),
    }


@contextlib.contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of Umbel's until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "umbel", words[0], "-A", "demo_shop:jobs", *words[1:]],
        cwd=os.environ["UMBEL_DATA_DIR"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # a group of our own: start_new_session


@contextlib.contextmanager
def running_web() -> Iterator[str]:
    """Serve the dashboard; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with running("web", "--port", str(port)):
        until(lambda: is_served(address), "the dashboard answers")
        yield address


def is_served(address: str) -> bool:
    """Whether the dashboard answers."""
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until ``condition`` holds, and return what it says."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"screenshots: after {DEADLINE:g} s still not: {what}")
        time.sleep(0.1)
    return found


def live(address: str) -> dict[str, str]:
    """Let the shop work; return the pages to look at, by name."""
    from celery import chord, group
    from demo_past import tell_the_past
    from demo_shop import charge, export, import_rows, jobs, newsletter, publish, report, resize, send_mail

    from umbel.errors import UmbelError
    from umbel.monitor.actors import Actor, Role

    tell_the_past(jobs)
    running_job = report.delay("2026-11")
    ann, ben = Actor("ann", Role.OPERATOR, "openid"), Actor("ben", Role.OPERATOR, "token")
    jobs.operations.queues.pause("newsletter", by=ann)
    jobs.operations.limits.change("queue:mail", "300/m", by=ben)
    jobs.operations.schedules.run_now("clean-up", by=ann)
    with contextlib.suppress(UmbelError):
        jobs.operations.queues.pause("newsletters", by=ben)
    for number in range(40):
        charge.delay(5000 + number)
        send_mail.apply_async((5000 + number, "ann@example.org"), countdown=3600 if number % 8 == 0 else None)
    for number in range(12):
        newsletter.delay(number)
        export.delay("csv")
    with jobs.batch("catalogue", allow_failures="10%", then=publish.si([]), finally_=publish.si([])) as batch:
        batch.add(*(import_rows.s(part) for part in range(900)))
    pictures = group(resize.s(f"pear-{number}.jpg", 640) for number in range(6))
    workflow = chord(pictures)(publish.s())
    failed = charge.delay(7 * 1000)
    history = jobs.history

    def told() -> bool:
        with contextlib.suppress(Exception):
            done = history.jobs.job(workflow.id).job
            return history.jobs.job(failed.id).job.state.value == "failed" and done.ended_at is not None
        return False

    until(told, "the history has heard of the workflow and of the failure")
    letters = until(lambda: jobs.dead_letters.find(limit=1), "there is a dead letter")
    (node, *_) = sorted(one.hostname for one in jobs.engine.workers())
    done = history.jobs.job(workflow.id)
    return addresses(failed.id, running_job.id, done.job.id, letters[0].task_id, node, batch.id)


def addresses(failed: str, running: str, workflow: str, letter: str, node: str, batch: str) -> dict[str, str]:
    """Return the pages to look at, by name."""
    return {
        "overview": "/?look=day",
        "jobs": "/jobs",
        "job": f"/jobs/{failed}",
        "job-running": f"/jobs/{running}",
        "workflow": f"/jobs/{workflow}#workflow-of-it",
        "failures": "/failures",
        "dead": "/dead",
        "dead-letter": f"/dead/{letter}",
        "queues": "/queues",
        "queue": "/queues/payments",
        "workers": "/workers",
        "worker": f"/workers/{node}",
        "batches": "/batches",
        "batch": f"/batches/{batch}",
        "schedules": "/schedules",
        "tasks": "/tasks",
        "task": "/tasks/shop.charge?span=day",
        "alerts": "/alerts",
        "audit": "/audit",
    }


def photograph(address: str, pages: dict[str, str]) -> None:
    """Make the pictures of ``pages``."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        for size in SIZES:
            for theme in THEMES:
                look(browser, address, pages, size, theme)
        browser.close()


def chromium() -> str:
    """Return the system's own browser."""
    import shutil

    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit("screenshots: it needs Chromium: apt-get install chromium")
    return found


def look(browser: Browser, address: str, pages: dict[str, str], size: str, theme: str) -> None:
    """Make the pictures of one size and theme."""
    viewport: Any = SIZES[size]
    page = browser.new_context(viewport=viewport, color_scheme=theme, reduced_motion="reduce").new_page()  # type: ignore[arg-type]
    for name, path in pages.items():
        answer = page.goto(address + path)
        if answer is None or answer.status != 200:
            print(f"screenshots: {path} answers {answer.status if answer else 'nothing'}", file=sys.stderr)
            continue
        target = TARGET / f"{name}-{size}-{theme}.png"
        page.screenshot(path=target, animations="disabled")
        shrink(target)


def shrink(path: Path) -> None:
    """Keep a picture in few colours: pages are flat."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def check_size() -> int:
    """Say how large the pictures are; 1 if that is too much."""
    total = sum(path.stat().st_size for path in TARGET.glob("*.png"))
    print(f"screenshots: {len(list(TARGET.glob('*.png')))} pictures, {total / 2**20:.2f} MB")
    return int(total > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
