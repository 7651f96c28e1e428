"""Which dead letters a command is about: the same options for all of them."""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from umbel.cli.duration import DURATION
from umbel.cli.group import EX_USAGE, Failure

if TYPE_CHECKING:
    from umbel.engine.letters import LetterFilter

__all__ = ("confirm", "count_of", "filter_options", "require_choice")

_OPTIONS = (
    click.option("--queue", metavar="NAME", help="Only those of this queue."),
    click.option("--task", metavar="NAME", help="Only those of this task."),
    click.option("--exception", metavar="TYPE", help="Only those of this type, with its module or without."),
    click.option(
        "--fingerprint", metavar="MARK", help="Only those that failed at this place; --group of list shows it."
    ),
    click.option("--release", metavar="NAME", help="Only those that this release ran last."),
    click.option("--owner", metavar="NAME", help="Only those of this owner."),
    click.option("--since", type=DURATION, metavar="DURATION", help="Only those that died within this time: 1h, 2d."),
    click.option("--before", type=DURATION, metavar="DURATION", help="Only those that died longer ago than this."),
)
_NAMES = ("queue", "task", "exception", "fingerprint", "release", "owner", "since", "before")


def filter_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, and hand it a ``LetterFilter`` as ``where``."""

    @functools.wraps(function)
    def filtered(*args: Any, **values: Any) -> None:
        given = {name: values.pop(name) for name in _NAMES}
        function(*args, where=_filter(given), **values)

    command: Callable[..., None] = filtered
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _filter(given: dict[str, Any]) -> LetterFilter:
    from umbel.engine.letters import LetterFilter

    now = time.time()
    for name in ("since", "before"):
        if given[name] is not None:
            given[name] = now - given[name]
    return LetterFilter(**given)


def require_choice(names: tuple[str, ...], where: LetterFilter, everything: bool) -> None:
    """Refuse a command that does not say which letters it is about, or says it twice."""
    filtered = any(value is not None for value in dataclasses.asdict(where).values())
    if bool(names) + (filtered or everything) != 1:
        raise Failure("Name letters by job id or number, or say which by an option, or --all: one of these.", EX_USAGE)


def count_of(count: int, *, more: bool = False) -> str:
    """Return ``1 dead letter``, ``7 dead letters``, ``more than 10000 dead letters``."""
    if more:
        return f"more than {count} dead letters"
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def confirm(question: str) -> None:
    """Ask on the terminal; without one ``--yes`` is needed."""
    if not sys.stdin.isatty():
        raise Failure(
            "There is no terminal to ask on: add --yes, or --dry-run to only look. Nothing was done.", EX_USAGE
        )
    click.confirm(question, abort=True)
