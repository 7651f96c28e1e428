"""Start everything, send the campaign, say how it went.

On a terminal it goes on until Ctrl-C, so that the pages can be looked at; otherwise it ends with the campaign, with
exit code 0 if each mail was sent.
"""

import fcntl
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console

from services.demo.campaign import Campaign, State
from services.demo.children import ChildFailed, Children
from services.demo.mailbox import Mailbox
from services.demo.show import show_addresses, show_progress, show_summary

_PROJECT = Path(__file__).resolve().parents[2]
_JOBS = "services.email_campaigns:jobs"
_RECIPIENTS = 1000
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _AlreadyRunning(Exception):
    pass


def main(folder: Path = _PROJECT / ".umbel" / "demo") -> int:
    """Run the demo with its data in ``folder``, which is made anew; return the exit code."""
    console = Console(highlight=False)
    for number in _STOPPING:
        signal.signal(number, signal.default_int_handler)
    try:
        with _made_anew(folder):
            return _run(console, folder)
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 0 if console.is_terminal else 130
    except (ChildFailed, httpx.HTTPError, _AlreadyRunning) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1


def _run(console: Console, folder: Path) -> int:
    mailbox = Mailbox(folder / "mailbox.db")
    with Children(folder, _environment(folder)) as children:
        try:
            console.print("Starting a mail server, the web application, the status page and a worker …")
            web, status_page = _start(children, folder)
            with httpx.Client(base_url=web, timeout=30.0) as client:
                campaign = Campaign(client, _RECIPIENTS)
                addresses = {"Campaign": web, "Inbox": f"{web}/inbox", "Status": status_page, "API": f"{web}/docs"}
                show_addresses(console, addresses)
                campaign.start()
                state = show_progress(console, lambda: _ask(campaign, children))
            show_summary(console, state, mailbox.count())
            if console.is_terminal:
                console.print("\nThe pages stay up until Ctrl-C.")
                _wait(children)
            return 0 if state.sent == _RECIPIENTS else 1
        finally:
            for number in _STOPPING:  # a second Ctrl-C must not leave half of them running
                signal.signal(number, signal.SIG_IGN)


def _start(children: Children, folder: Path) -> tuple[str, str]:
    """Start the processes and return the addresses of the application and of the status page."""
    smtp = children.start_listening("mail-server", ["services.demo.smtp_server", str(folder / "mailbox.db")])
    children.environ["EMAIL_SMTP_URL"] = f"smtp://127.0.0.1:{smtp}"
    port = _free_port()
    status_page = f"http://127.0.0.1:{port}"
    web_port = children.start_listening("web", ["services.demo.web", str(folder / "mailbox.db"), status_page])
    children.environ["EMAIL_PUBLIC_URL"] = web = f"http://127.0.0.1:{web_port}"
    children.start("worker", ["umbel", "worker", "-A", _JOBS])
    children.start_answering("status-page", ["umbel", "web", "-A", _JOBS, "--port", str(port)], port)
    return web, status_page


def _ask(campaign: Campaign, children: Children) -> State:
    children.check()
    return campaign.state()


def _wait(children: Children) -> None:
    while True:
        children.check()
        time.sleep(0.5)


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of the processes; settings of the caller's own do not reach them."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("EMAIL_", "UMBEL_", "CELERY_"))}
    return own | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_PROJECT), own.get("PYTHONPATH")))),
        "UMBEL_BROKER_URL": f"sqlite:///{folder / 'jobs.db'}",
        "EMAIL_FOLDER": str(folder),
        "EMAIL_RATE_PER_MINUTE": "1000000",
        "EMAIL_RETRY_BACKOFF": "1",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _made_anew(folder: Path) -> Iterator[None]:
    """Make the folder anew, for one demo at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _AlreadyRunning("A demo is running here already: stop it first.") from None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield


if __name__ == "__main__":
    sys.exit(main(*(Path(argument).absolute() for argument in sys.argv[1:2])))
