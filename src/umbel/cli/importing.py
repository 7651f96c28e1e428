"""Import an application, and say in one sentence what went wrong when it does not import."""

from __future__ import annotations

import importlib
import linecache
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeGuard

from umbel.errors import ConfigurationError, UmbelError

if TYPE_CHECKING:
    from celery import Celery

__all__ = ("import_application", "place_of", "summary")

_PREFERRED: Final = ("app", "celery")
_MESSAGE: Final = 500
_NOT_USERS: Final = (Path(__file__).parents[1], Path(sysconfig.get_path("stdlib")))


def import_application(spec: str) -> Celery:
    """Import ``module[:attribute]`` and every module of tasks that the application names.

    Raises :class:`~umbel.errors.ConfigurationError`, or the :class:`~umbel.errors.UmbelError` that the module raised.
    """
    name, _, attribute = spec.partition(":")
    with _explained(name):
        module = importlib.import_module(name)
    app = _attribute(module, attribute) if attribute else _only_application(module)
    with _explained(f"the task modules of {spec}"):
        app.loader.import_default_modules()
        app.finalize()
    return app


def summary(error: BaseException) -> str:
    """``ValueError: bad total (jobs.py, line 12)``: what was raised and where, in one line."""
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())[:_MESSAGE]
    place = place_of(error)
    return type(error).__name__ + (f": {text}" if text else "") + (f" ({place})" if place else "")


def place_of(error: BaseException) -> str | None:
    """``jobs.py, line 12: total = 1 / 0``: the innermost line of the user's own code, None when there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return _place(error.filename, error.lineno or 0, error.text or "")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if not frames:
        return None
    last = frames[-1]
    return _place(last.filename, last.lineno or 0, linecache.getline(last.filename, last.lineno or 0))


def _place(filename: str, line: int, text: str) -> str:
    path = Path(filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}, line {line}" + (f": {text.strip()[:120]}" if text.strip() else "")


def _is_users(filename: str) -> bool:
    if filename.startswith("<"):
        return False
    path = Path(filename)
    return "site-packages" not in path.parts and not any(path.is_relative_to(root) for root in _NOT_USERS)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except UmbelError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (what == error.name or what.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"There is no module {error.name!r} in {Path.cwd()} or among the installed packages."
            ) from error
        raise ConfigurationError(f"{what} does not import: {summary(error)}.") from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{what} does not import: {summary(error)}.") from error


def _attribute(module: ModuleType, name: str) -> Celery:
    found = getattr(module, name, None)
    if _is_application(found):
        return found
    if found is None:
        names = _applications(module)
        hint = f"it has {', '.join(names)}" if names else "it holds no application"
        raise ConfigurationError(f"{module.__name__} has no {name!r}: {hint}.")
    raise ConfigurationError(
        f"{module.__name__}:{name} is a {type(found).__name__}, not an Umbel or Celery application: "
        "name another with -A."
    )


def _only_application(module: ModuleType) -> Celery:
    names = _applications(module)
    if not names:
        raise ConfigurationError(
            f"{module.__name__} holds no Umbel or Celery application: name it with -A {module.__name__}:attribute."
        )
    chosen = [name for name in _PREFERRED if name in names] or names
    if len({id(getattr(module, name)) for name in names}) > 1 and chosen is names:
        listed = " or ".join(f"{module.__name__}:{name}" for name in names)
        raise ConfigurationError(f"{module.__name__} holds several applications: choose one with -A, {listed}.")
    app: Celery = getattr(module, chosen[0])
    return app


def _applications(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if _is_application(value) and not name.startswith("_")]


def _is_application(value: object) -> TypeGuard[Celery]:
    from celery import Celery

    # A proxy such as celery.current_app answers for its class, but belongs to Celery.
    return isinstance(value, Celery) and type(value).__name__ not in ("Proxy", "PromiseProxy")
