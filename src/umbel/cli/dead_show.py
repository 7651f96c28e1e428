"""``umbel dead show``: one dead letter, with its message and every attempt."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from umbel.cli.console import ago, clock, print_json, say
from umbel.cli.invocation import Invocation, app_options, pass_invocation

if TYPE_CHECKING:
    from umbel.jobs.dead_letters import DeadLetter

__all__ = ("document", "show")


@click.command()
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def show(invocation: Invocation, name: str, as_json: bool) -> None:
    """Show a dead letter, by its job's id or its number.

    Its message and its headers are in the JSON document, with the arguments of the job.
    """
    letter = invocation.umbel().dead_letters.show(name)
    if as_json:
        print_json(document(letter))
        return
    _print_facts(letter)
    _print_attempts(letter)


def document(letter: DeadLetter) -> dict[str, Any]:
    """Return all of a letter; its message as JSON, unless it is damaged."""
    from umbel.engine.envelope import decode
    from umbel.engine.failures import failures_in

    found: dict[str, Any] = dataclasses.asdict(letter)
    found["failures"] = [dataclasses.asdict(failure) for failure in failures_in(letter.failures)]
    try:
        found["payload"] = decode(letter.payload)
    except ValueError:
        found["payload"] = letter.payload
    return found


def _print_facts(letter: DeadLetter) -> None:
    from umbel.engine.envelope import headers_of

    headers = headers_of(letter.payload)
    replays = f"{letter.replays}, one of them on its way" if letter.replaying else letter.replays
    facts = {
        "number": letter.id,
        "job": letter.task_id,
        "task": letter.task,
        "arguments": " ".join(str(headers[name]) for name in ("argsrepr", "kwargsrepr") if headers.get(name)),
        "queue": letter.queue,
        "owner": letter.owner,
        "died": f"{clock(letter.died)} ({ago(letter.died)})",
        "reason": letter.reason,
        "exception": letter.exception,
        "release": letter.release,
        "fingerprint": letter.fingerprint,
        "deliveries": letter.deliveries,
        "replays": replays,
    }
    for name, value in facts.items():
        if value not in (None, ""):
            say(f"{name:<12} {value}")


def _print_attempts(letter: DeadLetter) -> None:
    from umbel.engine.failures import failures_in

    for number, failure in enumerate(failures_in(letter.failures), 1):
        of = f", release {failure.release}" if failure.release else ""
        say(f"\nAttempt {number}, {clock(failure.at)}{of}: {failure.exception}: {failure.message}", bold=True)
        if failure.traceback:
            say(failure.traceback.rstrip())
