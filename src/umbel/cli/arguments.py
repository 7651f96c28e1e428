"""What ``enqueue`` and ``call`` share: a task's name and its arguments as a person types them."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any, Final, Never

import click

from umbel.cli.group import EX_USAGE, Failure

if TYPE_CHECKING:
    from celery import Celery
    from celery.app.task import Task

__all__ = ("JobCommand", "find_task", "keywords", "values")

_NEGATIVE: Final = re.compile(r"-\.?\d.*")
_LISTED: Final = 5


class JobCommand(click.Command):
    """A command whose arguments may be negative numbers: ``umbel call add -1 2``.

    Click would read ``-1`` as an option; an option that does not exist stays an error.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse unknown options here, and let click pass on the rest."""
        known = {name for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)}
        for arg in args:
            if arg == "--":
                break
            name = arg.partition("=")[0] if arg.startswith("--") else arg[:2]
            if len(arg) > 1 and arg.startswith("-") and name not in known and not _NEGATIVE.fullmatch(arg):
                raise click.NoSuchOption(name, possibilities=known, ctx=ctx)
        ctx.ignore_unknown_options = True
        return super().parse_args(ctx, args)


def values(texts: tuple[str, ...]) -> tuple[Any, ...]:
    """Read each text as JSON, and what is not JSON as the string it is."""
    return tuple(_value(text) for text in texts)


def keywords(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read ``name=value`` pairs."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{pair!r} is not name=value.", param_hint="'--kwarg'")
        found[name] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(_name: str) -> Never:
    # NaN and Infinity are no JSON: they stay the words they are.
    raise ValueError


def find_task(app: Celery, name: str) -> Task[Any, Any]:
    """Return the task called ``name``; its last part is enough where it is unique.

    Raises a usage error that suggests the nearest names.
    """
    if name in app.tasks:
        return app.tasks[name]
    names = sorted(task for task in app.tasks if not task.startswith("celery."))
    ending = [task for task in names if task.endswith(f".{name}")]
    if len(ending) == 1:
        return app.tasks[ending[0]]
    if ending:
        raise Failure(f"Several tasks are called {name!r}: {', '.join(ending)}.", EX_USAGE)
    raise Failure(f"There is no task {name!r} in this application. {_suggestion(name, names)}", EX_USAGE)


def _suggestion(name: str, names: list[str]) -> str:
    if not names:
        return "It has no tasks: decorate a function with @jobs.task, or list its module in 'include'."
    short = {task.rpartition(".")[2]: task for task in names}
    near = [short[found] for found in difflib.get_close_matches(name.rpartition(".")[2], list(short), n=3)]
    # Whole names share their module, so they are alike without being near.
    near += difflib.get_close_matches(name, names, n=3, cutoff=0.85)
    if near:
        return f"Did you mean {' or '.join(dict.fromkeys(near))}?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"It has {', '.join(names[:_LISTED])}{more}."
