"""``umbel alerts``: what somebody should know, who looks after it, and whether people would be told."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Final

import click

from umbel.cli.console import ago, duration, print_json, print_table, remark
from umbel.cli.group import Failure
from umbel.cli.history_of import history_of
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

if TYPE_CHECKING:
    from umbel.monitor.alerts.channels import Channel
    from umbel.monitor.alerts.incidents import Incident

__all__ = ("alerts",)

_COLUMNS: Final = ("number", "began", "lasted", "rule", "about", "looked after by", "what")


@click.group()
def alerts() -> None:
    """Look at alerts.

    The workers' recorder looks for what is wrong, every ten seconds, and tells by log, webhook and e-mail.
    """


@alerts.command(name="list")
@click.option("--all", "with_ended", is_flag=True, help="Those that are over too.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many to show.")
@click.option("--before", type=int, metavar="NUMBER", help="Go on below this number, the last one of a page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def list_alerts(invocation: Invocation, with_ended: bool, limit: int, before: int | None, as_json: bool) -> None:
    """List what is wrong now, the newest first."""
    incidents = history_of(invocation.umbel()).incidents
    page = incidents.find(going_on=not with_ended, before=before, limit=limit)
    if as_json:
        print_json([dataclasses.asdict(one) for one in page.incidents])
        return
    print_table("Alerts", _COLUMNS, map(_row, page.incidents), empty="none")
    for one in page.incidents:
        if one.untold:
            said = f": {one.error}" if one.error else ""
            remark(f"Alert {one.number} is not told yet by {', '.join(one.untold)}{said}")
    if page.next is not None:
        remark(f"There may be more: --before {page.next}")


def _row(one: Incident) -> tuple[object, ...]:
    lasted = duration((one.ended_at or time.time()) - one.opened_at)
    return (
        one.number,
        ago(one.opened_at),
        lasted if one.ended_at is not None else f"{lasted} so far",
        one.rule,
        one.subject,
        one.acknowledged_by,
        one.summary,
    )


@alerts.command()
@click.argument("number", type=int)
@click.option("--by", metavar="NAME", help="Who; by default the user who runs this.")
@app_options
@pass_invocation
def ack(invocation: Invocation, number: int, by: str | None) -> None:
    """Say that somebody looks after the alert NUMBER."""
    history_of(invocation.umbel())
    do, me = operating(invocation.umbel())
    click.echo(do.alerts.acknowledge(number, by=me, name=by).text)


@alerts.command()
@app_options
@pass_invocation
def test(invocation: Invocation) -> None:
    """Tell a test by each way that is configured.

    Says of each what came of it, and exits 1 when one of them failed.
    """
    from umbel.engine.alerts_told import alerts_told
    from umbel.monitor.alerts.channels import channels_of
    from umbel.monitor.alerts.plan import Plan

    app = invocation.umbel()
    if not app.settings.alerts:
        remark("UMBEL_ALERTS is off: nobody looks for what is wrong.")
    # One after the other: whoever reads this sees which one is waited for.
    told = [_try(channel, app.main or "") for channel in channels_of(Plan.of(alerts_told(app)))]
    if not all(told):
        raise Failure("Not everybody would be told.")


def _try(channel: Channel, app: str) -> bool:
    from umbel.monitor.alerts.channels import Untold
    from umbel.monitor.alerts.incidents import Incident
    from umbel.monitor.alerts.notices import Notice

    now = time.time()
    incident = Incident(
        number=0, store=f"test-{now:.0f}", rule="test", subject=app, summary="This is a test.", opened_at=now
    )
    try:
        channel.tell(Notice(number=0, kind="test", channel=channel.name, incident=incident))
    except Untold as error:
        click.echo(f"{channel.name}: {error.reason}")
        return False
    click.echo(f"{channel.name}: told")
    return True
