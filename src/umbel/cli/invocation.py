"""What one run of the command line is about: which application, from where, and how errors are shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from umbel.cli import find_app
from umbel.cli.console import remark
from umbel.errors import ConfigurationError

if TYPE_CHECKING:
    from celery import Celery

    from umbel.app import Umbel

__all__ = ("Invocation", "app_argument", "app_options", "pass_invocation")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """The object that every command receives.

    ``given`` is Celery's own application when the command is run as ``celery -A module umbel …``.
    """

    spec: str | None = None
    given: Celery | None = None
    debug: bool = False

    @classmethod
    def of_celery(cls, context: click.Context) -> Invocation:
        """Take over what Celery's own ``-A`` found, when this is ``celery -A module umbel …``."""
        wanted = context.params.get("app")
        if not wanted:
            return cls()
        return cls(spec=wanted if isinstance(wanted, str) else None, given=getattr(context.obj, "app", None))

    def resolve(self) -> str:
        """Return the application as ``module:attribute`` without importing it; says on stderr what was found."""
        find_app.prepare_path()
        wanted = find_app.resolve(self.spec) if self.spec else None
        if wanted is None and not (wanted := _from_environment()):
            found = find_app.look(Path.cwd())
            others = f"; passed over: {', '.join(found.others)}" if found.others else ""
            remark(f"Using {found.spec} ({_shown(found.path)}{others})")
            wanted = found.spec
        self.spec = wanted
        return wanted

    def app(self) -> Celery:
        """Import and return the application."""
        if self.given is None:
            self.given = find_app.load(self.resolve())
        return self.given

    def umbel(self) -> Umbel:
        """Import and return the application, which must be one of Umbel's.

        Raises :class:`~umbel.errors.ConfigurationError` for one of plain Celery's.
        """
        from umbel.app import Umbel

        app = self.app()
        if not isinstance(app, Umbel):
            raise ConfigurationError(
                f"{self.spec or app.main or 'the application'} is a plain Celery application: this command asks "
                "Umbel's engine, so make it 'from umbel import Umbel', or use the celery command."
            )
        return app

    def error(self, message: str, **style: Any) -> None:
        """Print an error; Celery's command line calls this on whatever is the context's object."""
        click.secho(message, err=True, **style)


def _from_environment() -> str | None:
    return find_app.resolve(None) if os.environ.get("UMBEL_APP") else None


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def app_options(function: F) -> F:
    """Give a command ``-A`` and ``--debug``; both may also stand before the command."""
    function = click.option(
        "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
    )(function)
    return click.option(
        "-A",
        "--app",
        metavar="MODULE[:ATTR]",
        expose_value=False,
        callback=_set_spec,
        help="The application; also UMBEL_APP, else the usual places (jobs.py, tasks.py, app/jobs.py, …).",
    )(function)


def app_argument(function: F) -> F:
    """Let a command that takes no other argument name the application without ``-A``."""
    return click.argument("module", metavar="[MODULE[:ATTR]]", required=False, expose_value=False, callback=_set_spec)(
        function
    )


def _set_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Invocation).debug = True


def _set_spec(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if not value:
        return
    invocation = context.ensure_object(Invocation)
    invocation.spec = value
    invocation.given = None
