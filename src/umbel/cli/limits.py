"""``umbel limits``: how often jobs may start, and how many at a time; and changing that while they run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import click

from umbel.cli.console import duration, print_json, print_table
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

if TYPE_CHECKING:
    from umbel.jobs.limit_book import LimitStatus

__all__ = ("limits",)

_COLUMNS: Final = ("name", "limit", "declared", "waiting", "last starts in", "lag")


@click.group()
def limits() -> None:
    """Look at limits, and change them for the whole fleet.

    A change holds from the next start on, and until it is reset, whatever is restarted or deployed meanwhile.
    """


@limits.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def list_limits(invocation: Invocation, as_json: bool) -> None:
    """List all limits, with what waits for them."""
    found = invocation.umbel().limits.status()
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
        return
    print_table("Limits", _COLUMNS, map(_row, found))


def _row(one: LimitStatus) -> tuple[object, ...]:
    declared = one.declared if one.changed else ""
    last = duration(one.seconds) if one.waiting else ""
    return one.name, one.limit, declared, one.waiting, last, f"{one.lag * 1000:.0f} ms" if one.lag else ""


@limits.command(name="set")
@click.argument("name")
@click.argument("rate")
@click.option("--burst", type=click.IntRange(0, 100_000), default=0, help="Make it a token bucket of this size.")
@app_options
@pass_invocation
def set_limit(invocation: Invocation, name: str, rate: str, burst: int) -> None:
    """Let RATE hold for the limit NAME.

    RATE is like 100/m, or a number of slots; "none" lifts the limit. NAME is one that 'umbel limits list'
    shows, a task, or queue:NAME.
    """
    do, me = operating(invocation.umbel())
    done = do.limits.change(name, rate, burst=burst, by=me)
    click.echo(f"{done.text} 'umbel limits reset {name}' does that.")


@limits.command(name="reset")
@click.argument("name")
@app_options
@pass_invocation
def reset_limit(invocation: Invocation, name: str) -> None:
    """Let what is declared hold for the limit NAME again."""
    do, me = operating(invocation.umbel())
    click.echo(do.limits.reset(name, by=me).text)
