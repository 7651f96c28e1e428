"""``umbel config``: every value with where it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from umbel.cli.console import duration, print_json, print_table
from umbel.cli.invocation import Invocation, app_options, pass_invocation

if TYPE_CHECKING:
    from celery import Celery

__all__ = ("config",)

_SECRET: Final = re.compile(r"pass|secret|token|api_?key|(?<!routing)_key$|signature|credential", re.IGNORECASE)
#: Greedy up to the last "@": a password may hold one.
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^/:\s]*:)\S+(?=@)")
_URL_OPTION: Final = re.compile(r"([?&][^=&\s]*(?:pass|secret|token|key)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE)
_HIDDEN: Final = "********"
_DEPTH: Final = 20


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def config(invocation: Invocation, as_json: bool) -> None:
    """Show every setting and where it came from.

    Passwords and keys are hidden.
    """
    app = invocation.umbel()
    rows = [(row.name, _shown(row.name, row.value), row.source) for row in app.settings.explain()]
    celery = [(name, _shown(name, value), source) for name, value, source in _celery_settings(app)]
    if as_json:
        listed, listed_celery = (
            [{"name": name, "value": value, "source": source} for name, value, source in table]
            for table in (rows, celery)
        )
        print_json({"umbel": listed, "celery": listed_celery})
        return
    print_table("Umbel", ("setting", "value", "from"), rows)
    print_table("Celery, where it differs from Celery's defaults", ("setting", "value", "from"), celery)


def _celery_settings(app: Celery) -> Iterator[tuple[str, Any, str]]:
    found = app.conf.table(with_defaults=False, censored=False)
    for name, value in sorted(found.items()):
        if name != "deprecated_settings" and not callable(value):
            yield name, value, "application" if name in app.conf.changes else "Umbel"


def _shown(name: str, value: object) -> object:
    """Hide what is secret by its name, at any depth, and passwords inside URLs wherever they stand."""
    if value and _SECRET.search(name):
        return _HIDDEN
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, timedelta):
        return duration(value.total_seconds())
    text = str(_without_secrets(value))
    return _URL_OPTION.sub(rf"\1{_HIDDEN}", _URL_PASSWORD.sub(rf"\1{_HIDDEN}", text))


def _without_secrets(value: object, depth: int = 0) -> object:
    if depth < _DEPTH and isinstance(value, dict):
        return {
            key: _HIDDEN if item and _SECRET.search(str(key)) else _without_secrets(item, depth + 1)
            for key, item in value.items()
        }
    if depth < _DEPTH and isinstance(value, list | tuple):
        return [_without_secrets(item, depth + 1) for item in value]
    return value
