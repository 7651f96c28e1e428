"""``umbel dead replay``: let jobs that failed for good run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from umbel.cli.console import remark
from umbel.cli.dead_filter import confirm, count_of, filter_options, require_choice
from umbel.cli.duration import DURATION
from umbel.cli.group import EX_USAGE, Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.errors import LetterError

if TYPE_CHECKING:
    from umbel.engine.letters import LetterFilter
    from umbel.jobs.canary import Canary, CanaryStep
    from umbel.jobs.dead_letters import DeadLetters

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
    letters = invocation.umbel().dead_letters
    count = len(names) if names else _waiting(letters, where, most)
    if dry_run or not count:
        nothing = "No dead letter fits, so there is nothing to replay."
        click.echo(f"Would replay {count_of(count)}." if count else nothing)
        return
    if count > 1 and not (names or yes):
        confirm(f"Replay {count_of(count)}?")
    if names:
        _replay_named(letters, names)
    elif careful:
        _replay_carefully(letters, where, failure_rate, patience)
    else:
        done = letters.replay_all(where, most=most)
        click.echo(f"Replayed {count_of(done.count)}.")
        if done.damaged:
            raise Failure(f"{count_of(done.damaged)} cannot be replayed, because their messages are damaged.")


def _waiting(letters: DeadLetters, where: LetterFilter, most: int | None) -> int:
    count = sum(1 for letter in letters.walk(where) if not letter.replaying)
    return count if most is None else min(count, most)


def _replay_named(letters: DeadLetters, names: tuple[str, ...]) -> None:
    problems: list[LetterError] = []
    for name in names:
        try:
            letter = letters.replay(name)
        except LetterError as error:
            problems.append(error)
        else:
            click.echo(f"Replayed {letter.key}, {letter.task or 'a message'} in {letter.queue!r}.")
    if problems:
        raise Failure("\n".join(map(str, problems)))


def _replay_carefully(letters: DeadLetters, where: LetterFilter, failure_rate: float, patience: float) -> None:
    from umbel.jobs.canary import CanaryEnd, canary

    found = canary(letters, where, failure_rate=failure_rate, patience=patience, tell=_tell)
    if found.end is not CanaryEnd.DONE:
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
