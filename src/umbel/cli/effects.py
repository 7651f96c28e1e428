"""``umbel effects``: effects of which nobody knows whether they are there, and saying what somebody has found out."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

import click

from umbel.cli.console import ago, clock, print_json, print_table
from umbel.cli.group import EX_USAGE, Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.state.effects import Uncertain

__all__ = ("effects",)

_COLUMNS: Final = ("name", "job", "uncertain since")
_MOST: Final = 10_000


@click.group()
def effects() -> None:
    """Decide effects of which nobody knows whether they are there.

    An effect that happens once per key was interrupted, and may be there or not. Until somebody says which, no job
    repeats it.
    """


@effects.command(name="list")
@click.option("--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def list_effects(invocation: Invocation, limit: int, as_json: bool) -> None:
    """List uncertain effects, the oldest first."""
    found = invocation.umbel().effects.uncertain(limit)
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
        return
    rows = ((one.name, one.owner, f"{clock(one.since)} ({ago(one.since)})") for one in found)
    print_table("Uncertain effects", _COLUMNS, rows)


@effects.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def show(invocation: Invocation, name: str, as_json: bool) -> None:
    """Show an uncertain effect and its job."""
    app = invocation.umbel()
    facts = _facts(app, _find(app, name))
    if as_json:
        print_json(facts)
        return
    for label, value in facts.items():
        if value not in (None, ""):
            click.echo(f"{label:<8} {f'{clock(value)} ({ago(value)})' if label == 'since' else value}")


@effects.command()
@click.argument("name")
@click.option("--done", is_flag=True, help="It is there: whoever comes next gets its result.")
@click.option("--not-done", "undone", is_flag=True, help="It is not there: whoever comes next causes it.")
@click.option("--result", metavar="JSON", help="With --done: what whoever comes next gets; null unless given.")
@click.option("--for", "for_", metavar="DURATION", default="1d", help="With --done: how long it is remembered.")
@app_options
@pass_invocation
def resolve(invocation: Invocation, name: str, done: bool, undone: bool, result: str | None, for_: str) -> None:
    """Say whether the effect NAME is there.

    Look first, where the effect would be. Then let its job run again: 'umbel dead replay' with its id.
    """
    if done == undone or (result is not None and undone):
        raise Failure("Say --done, with --result if there is one, or --not-done. Nothing was changed.", EX_USAGE)
    app = invocation.umbel()
    owner = _find(app, name).owner
    do, me = operating(app)
    if done:
        said = do.effects.is_done(name, _value(result), for_=for_, by=me)
    else:
        said = do.effects.is_not_done(name, by=me)
    click.echo(f"{said.text} 'umbel dead replay {owner}' lets its job run again.")


def _find(app: Umbel, name: str) -> Uncertain:
    found = next((one for one in app.effects.uncertain(_MOST) if one.name == name), None)
    if found is None:
        raise _unknown(name)
    return found


def _facts(app: Umbel, found: Uncertain) -> dict[str, Any]:
    stored = next(iter(app.engine.read([found.owner])), None)
    job = {"task": stored and stored.task, "queue": stored and stored.queue, "state": stored and stored.state}
    return {"name": found.name, "since": found.since, "job": found.owner, **job}


def _value(result: str | None) -> Any:
    try:
        return None if result is None else json.loads(result)
    except ValueError as error:
        raise Failure(f"--result is no JSON: {error}. A text stands in quotes: '\"text\"'.", EX_USAGE) from error


def _unknown(name: str) -> Failure:
    return Failure(f"No effect {name!r} is uncertain: 'umbel effects list' shows those that are.")
