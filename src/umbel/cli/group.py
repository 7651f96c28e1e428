"""The group ``umbel``: turns every error into one line on stderr and an exit code that tells the truth.

0    done
1    it failed
2    the command line was wrong
69   the broker or its store cannot be used now
78   the configuration is wrong: a setting, or an application that is not found or does not import
130  ended with Ctrl-C
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

import click

from umbel.cli.importing import summary
from umbel.cli.invocation import Invocation
from umbel.errors import ConfigurationError, InvalidArguments, StoreError, UmbelError, UnknownName

__all__ = (
    "EX_CONFIG",
    "EX_FAILED",
    "EX_INTERRUPTED",
    "EX_UNAVAILABLE",
    "EX_USAGE",
    "Commands",
    "Failure",
    "UmbelGroup",
)

EX_FAILED: Final = 1
EX_USAGE: Final = 2
EX_UNAVAILABLE: Final = 69
EX_CONFIG: Final = 78
EX_INTERRUPTED: Final = 130


class Failure(click.ClickException):
    """An error that is shown as one line; ``exit_code`` is the command's."""

    def __init__(self, message: str, exit_code: int = EX_FAILED) -> None:
        super().__init__(message)
        # click declares it a class variable, and reads it from the instance.
        vars(self)["exit_code"] = exit_code


class Commands(MutableMapping[str, click.Command]):
    """Commands by their names, each imported when it is asked for: one command must not cost what all of them do."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = dict(modules)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            command: click.Command = getattr(importlib.import_module(self._modules[name]), name)
            self._loaded[name] = command
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._modules[name] = command.__module__
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._modules[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class UmbelGroup(click.Group):
    """A click group whose commands may raise anything.

    The translation stands here and not in ``main()``, so that ``celery umbel …`` behaves the same.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises only what click shows itself."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            # Whoever read this has closed the pipe ('| head'): click knows how to end quietly.
            raise
        except KeyboardInterrupt:
            raise click.exceptions.Exit(EX_INTERRUPTED) from None
        except click.ClickException as error:
            _trace(ctx, error.__cause__)
            raise
        except Exception as error:
            _trace(ctx, error)
            raise _failure(error) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them, which is the order of their addition."""
        return list(self.commands)


def _trace(ctx: click.Context, error: BaseException | None) -> None:
    invocation = ctx.find_object(Invocation)
    if error is not None and invocation is not None and invocation.debug:
        traceback.print_exception(error)


def _failure(error: Exception) -> Failure:
    if isinstance(error, ConfigurationError):
        return Failure(str(error), EX_CONFIG)
    if isinstance(error, StoreError):
        return Failure(str(error), EX_UNAVAILABLE)
    if isinstance(error, InvalidArguments | UnknownName):
        return Failure(str(error), EX_USAGE)
    if isinstance(error, UmbelError):
        return Failure(str(error))
    if isinstance(error.__cause__, StoreError):
        # What Kombu has wrapped says already what to do.
        return _failure(error.__cause__)
    if _is_unavailable(error):
        return Failure(f"The broker cannot be reached: {summary(error)}.", EX_UNAVAILABLE)
    return Failure(f"Unexpected {summary(error)}. --debug shows the traceback.")


def _is_unavailable(error: Exception) -> bool:
    from kombu.exceptions import OperationalError

    return isinstance(error, OperationalError | ConnectionError)
