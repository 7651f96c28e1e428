"""``umbel dead replay``: let jobs that failed for good run again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from umbel.cli.console import remark
from umbel.cli.dead_filter import confirm, count_of, filter_options, require_choice
from umbel.cli.duration import DURATION
from umbel.cli.group import EX_USAGE, Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating
from umbel.errors import LetterError

if TYPE_CHECKING:
    from umbel.engine.letters import LetterFilter
    from umbel.jobs.canary import Canary, CanaryStep
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations import LetterSelection
    from umbel.monitor.operations.letters import LetterOperations

__all__ = ("replay",)


@click.command()
@click.argument("names", nargs=-1, metavar="[ID]...")
@filter_options
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--most", type=click.IntRange(1), metavar="N", help="No more than so many, the newest.")
@click.option(
    "--canary", "careful", is_flag=True, help="One, then 5 in a hundred, then all; stop when they fail again."
)
@click.option(
    "--failure-rate",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="With --canary: stop when more than this part fails.",
)
@click.option(
    "--patience",
    type=DURATION,
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="With --canary: how long a step may take to end.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say how many would be replayed, and replay nothing.")
@app_options
@pass_invocation
def replay(
    invocation: Invocation,
    /,
    names: tuple[str, ...],
    where: LetterFilter,
    everything: bool,
    most: int | None,
    careful: bool,
    failure_rate: float,
    patience: float,
    yes: bool,
    dry_run: bool,
) -> None:
    """Let dead jobs run again, with their ids.

    Those IDs, which are ids of jobs or numbers, or all that fit the options and are not on their way already. Each
    keeps its attempts; a success drops its letter, a failure writes it again.

    Exits 1 when a letter could not be replayed, or a canary has stopped.
    """
    require_choice(names, where, everything)
    if careful and (names or most is not None):
        raise Failure("--canary is for all that fit: leave out the ids and --most.", EX_USAGE)
    operations, me = operating(invocation.umbel())
    do = operations.letters
    if names:
        if dry_run:
            click.echo(f"Would replay {count_of(len(names))}.")
        else:
            _replay_named(do, me, names)
        return
    selection = do.preview(replace(where, replaying=False))
    count = selection.count if most is None else min(selection.count, most)
    fitting = count_of(count, more=selection.more and count == selection.count)
    if dry_run or not count:
        nothing = "No dead letter fits, so there is nothing to replay."
        click.echo(f"Would replay {fitting}." if count else nothing)
        return
    if count > 1 and not yes:
        confirm(f"Replay {fitting}?")
    if careful:
        _replay_carefully(do, me, selection, failure_rate, patience)
    else:
        _replay_all(do, me, selection, most)


def _replay_named(do: LetterOperations, me: Actor, names: tuple[str, ...]) -> None:
    problems: list[LetterError] = []
    for name in names:
        try:
            click.echo(do.replay(name, by=me).text)
        except LetterError as error:
            problems.append(error)
    if problems:
        raise Failure("\n".join(map(str, problems)))


def _replay_all(do: LetterOperations, me: Actor, selection: LetterSelection, most: int | None) -> None:
    done = damaged = 0
    following: LetterSelection | None = selection
    while following is not None and (most is None or done < most):
        step = do.replay_all(following, by=me, most=None if most is None else most - done)
        done, damaged, following = done + step.done, damaged + step.failed, step.next
    click.echo(f"Replayed {count_of(done)}.")
    if damaged:
        raise Failure(f"{count_of(damaged)} cannot be replayed, because their messages are damaged.")


def _replay_carefully(
    do: LetterOperations, me: Actor, selection: LetterSelection, failure_rate: float, patience: float
) -> None:
    found = do.canary(selection, by=me, failure_rate=failure_rate, patience=patience, tell=_tell)
    if found.end != "done":
        raise Failure(_why(found))
    click.echo(f"Replayed {count_of(found.step.replayed)}, {found.step.failed} failed again so far.")


def _tell(step: CanaryStep) -> None:
    remark(f"{step.replayed} replayed: {step.succeeded} succeeded, {step.failed} failed again, {step.pending} go on")


def _why(found: Canary) -> str:
    step = found.step
    left = f"{count_of(found.left)} {'was' if found.left == 1 else 'were'} left alone."
    if step.pending and not step.failed:
        return f"Stopped: {step.pending} of {step.replayed} replays had not ended in time. {left}"
    return f"Stopped: {step.failed} of {step.replayed} replays failed again. {left}"
