"""``umbel outbox``: the jobs that transactions have dispatched and that are not published yet."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
from typing import TYPE_CHECKING, Final

import click

from umbel.cli import lifeline
from umbel.cli.console import duration, print_json, print_table
from umbel.cli.group import Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating
from umbel.engine import log_lines
from umbel.errors import ConfigurationError

if TYPE_CHECKING:
    from umbel.jobs.outbox_relay import Relay

__all__ = ("outbox", "relay_of")

_ASIDE: Final = 50
_COLUMNS: Final = ("number", "task", "job", "age", "error")


@click.group()
def outbox() -> None:
    """Look after the outbox of transactional dispatch.

    What a process leaves that dies after its commit, 'umbel worker' publishes by itself.
    """


@outbox.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def status(invocation: Invocation, as_json: bool) -> None:
    """Show what waits, and what could not be published."""
    from umbel.jobs.outbox_relay import asking

    with contextlib.closing(relay_of(invocation)) as relay, asking(relay):
        counts, aside = relay.counts(), relay.aside(_ASIDE)
    if as_json:
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in aside]
        print_json({**dataclasses.asdict(counts), "rows_aside": rows})
        return
    oldest = f", the oldest for {duration(counts.oldest)}" if counts.oldest is not None else ""
    click.echo(f"{counts.waiting} waiting{oldest}; {counts.aside} aside.")
    rows_shown = [(number, task, job, duration(age), error) for number, task, job, age, error in aside]
    if rows_shown:
        print_table("Aside", _COLUMNS, rows_shown)


@outbox.command()
@click.option("--once", is_flag=True, help="Publish what waits now, and end.")
@app_options
@pass_invocation
def relay(invocation: Invocation, once: bool) -> None:
    """Publish what waits.

    For hosts without 'umbel worker', which does this by itself. Any number may run.
    """
    from umbel.jobs.outbox_relay import asking, run_relay

    found = relay_of(invocation)
    if not once:
        lifeline.hold()
        log_lines.begin("INFO")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run_relay(found, stop)
        return
    with contextlib.closing(found), asking(found):
        published, refused = found.drain()
        left = found.counts().waiting
    click.echo(f"Published {published}.")
    if left:
        click.echo(f"{left} wait still: another relay is publishing them, or they have just been committed.")
    if refused:
        raise Failure(f"{refused} could not be published and stand aside: see 'umbel outbox status'.")


@outbox.command()
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER]...")
@app_options
@pass_invocation
def retry(invocation: Invocation, numbers: tuple[int, ...]) -> None:
    """Let what stands aside be published after all.

    Those NUMBERs, or everything.
    """
    from umbel.jobs.outbox_relay import asking

    target = ", ".join(map(str, numbers)) or "all"
    with contextlib.closing(relay_of(invocation)) as relay, asking(relay):
        do, me = operating(invocation.umbel())
        with do.action(me, "outbox.retry", target) as entry:
            count = relay.retry(numbers)
            entry.note(count=count)
    click.echo(f"{count} {'waits' if count == 1 else 'wait'} again.")


def relay_of(invocation: Invocation) -> Relay:
    """Return the relay of an application's outbox. Raises :exc:`ConfigurationError` where it has none."""
    app = invocation.umbel()
    url = app.settings.database_url
    if url is None:
        raise ConfigurationError("There is no outbox without UMBEL_DATABASE_URL, the application's own database.")
    try:
        from umbel.jobs.outbox_relay import Relay
    except ImportError as error:
        raise ConfigurationError("The outbox needs SQLAlchemy: pip install 'umbel[sqlalchemy]'.") from error
    return Relay(url, app.main or "", lambda: app.engine)
