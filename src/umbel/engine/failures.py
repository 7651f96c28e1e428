"""What is kept of a failed attempt, and how the attempts of a job stay together.

A retried message carries the earlier attempts in a header, as text; so only jobs that fail pay for it. It is bounded:
1,000 characters of a message, the last 4,000 of a traceback, the first attempt and the newest nine, 64 KiB together.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import sysconfig
import time
import traceback as tracebacks
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
from celery.exceptions import Retry

__all__ = (
    "FAILURES",
    "Failure",
    "carry",
    "exception_name",
    "failing",
    "failure_of",
    "failures_in",
    "fingerprint",
    "hidden",
    "together",
)

#: The header in which a retried message carries its earlier attempts.
FAILURES: Final = "umbel_failures"

_MESSAGE_MOST: Final = 1000
_TRACEBACK_MOST: Final = 4000
_ATTEMPTS_MOST: Final = 10
#: In bytes: AMQP's headers go in one frame.
_TOGETHER_MOST: Final = 65_536
_FRAMES: Final = 3
_FRAME: Final = re.compile(r'^\s*File "(?P<file>[^"\n]+)", line \d+, in (?P<name>.+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Failure:
    """How one attempt ended. ``at`` is in unix seconds, ``attempt`` counts the retries before it."""

    at: float
    exception: str
    message: str
    traceback: str = ""
    attempt: int = 0
    release: str | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[Failure]).decode


def failure_of(error: BaseException, traceback: str = "", *, attempt: int = 0, release: str | None = None) -> Failure:
    """Return what is kept of ``error``; ``traceback`` is its text."""
    return Failure(
        time.time(),
        exception_name(error),
        _text(_said(error), _MESSAGE_MOST),
        _text(traceback)[-_TRACEBACK_MOST:],
        attempt,
        release,
    )


def hidden(failure: Failure) -> Failure:
    """Return what may be told of a failure where everything is encrypted."""
    return replace(failure, message="***", traceback="")


def exception_name(error: BaseException) -> str:
    """Return the type's name, with its module unless that is Python's own."""
    # What could not be pickled on its way from a prefork child says what it was.
    module = getattr(error, "exc_module", None)
    name = getattr(error, "exc_cls_name", None)
    if not isinstance(module, str) or not isinstance(name, str):
        module, name = type(error).__module__, type(error).__qualname__
    return _text(name if module == "builtins" else f"{module}.{name}", 200)


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(its text could not be made)"


def _text(value: str, most: int | None = None) -> str:
    """Return text that every store takes: no lone surrogates, no NUL."""
    return value[:most].encode(errors="replace").decode().replace("\0", "\ufffd")


def _traceback_of(error: BaseException) -> str:
    """Return the traceback of ``error`` as text, or of what is being handled where it has none."""
    handled = sys.exc_info()[1]
    shown = handled if error.__traceback__ is None and handled is not None else error
    return "".join(tracebacks.format_exception(shown))


# -- attempts that stay together --------------------------------------------------------------------------------


def failures_in(text: Any) -> list[Failure]:
    """Return the attempts that a header or a letter tells of; none where it is damaged."""
    if not isinstance(text, str) or len(text) > 2 * _TOGETHER_MOST:
        return []
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return []


def together(earlier: Sequence[Failure], last: Failure | None) -> str:
    """Return attempts as text, within the bounds."""
    found = [*earlier, *([last] if last is not None else [])]
    if len(found) > _ATTEMPTS_MOST:
        found = [found[0], *found[1 - _ATTEMPTS_MOST :]]
    text = _encode(found)
    for number in range(1, len(found)):
        if len(text) <= _TOGETHER_MOST:
            break
        # The first one tells how it began, the last one how it ended.
        place = number if number < len(found) - 1 else 0
        found[place] = replace(found[place], traceback="")
        text = _encode(found)
    return text.decode()


_failed: Final[ContextVar[BaseException | None]] = ContextVar("umbel_failed", default=None)


@contextlib.contextmanager
def failing(error: BaseException | None) -> Iterator[None]:
    """Let what is retried in this block be retried because of ``error``; else it is what is being handled there."""
    token = _failed.set(error)
    try:
        yield
    finally:
        _failed.reset(token)


def carry(signature: Any, task: Any, request: Any, retries: Any) -> Any:
    """Let ``signature``, which runs the job of ``request`` again, carry the attempts that have failed.

    What leaves the number of ``retries`` as it was is no attempt.
    """
    error = _failed.get() or sys.exc_info()[1]
    known = request.retries or 0
    if not isinstance(error, BaseException) or isinstance(error, Retry) or request.called_directly or request.is_eager:
        return signature
    if not isinstance(retries, int) or retries <= known:
        return signature
    release = getattr(getattr(task.app, "settings", None), "release", None)
    last = failure_of(error, _traceback_of(error), attempt=known, release=release)
    headers = signature.options.get("headers") or {}
    signature.options["headers"] = {**headers, FAILURES: together(failures_in(headers.get(FAILURES)), last)}
    return signature


# -- what is alike ----------------------------------------------------------------------------------------------


def fingerprint(exception: str, traceback: str, task: str | None) -> str:
    """Return the same for failures of one type whose innermost frames in the project's own code are the same.

    Lines do not count, so that it outlives a release. What failed outside of that code is told apart by its task.
    """
    own = list(_own_frames(traceback))[-_FRAMES:] or [str(task)]
    return hashlib.sha256("\n".join((exception, *own)).encode(errors="replace")).hexdigest()[:12]


def _own_frames(traceback: str) -> Iterator[str]:
    for frame in _FRAME.finditer(traceback):
        file = frame["file"]
        if not file.startswith("<") and not _is_foreign(file):
            yield f"{_place(file)}:{frame['name']}"


@lru_cache(maxsize=1024)
def _is_foreign(file: str) -> bool:
    """Whether a file belongs to Python, to an installed package, or to Umbel."""
    if "site-packages" in file or "dist-packages" in file:
        return True
    return any(file.startswith(root) for root in _foreign_roots())


@cache
def _foreign_roots() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    roots = {paths["stdlib"], paths["platstdlib"], str(Path(__file__).resolve().parents[1])}
    return tuple(f"{root}/" for root in roots)


@lru_cache(maxsize=1024)
def _place(file: str) -> str:
    """Return a file as it is found by imports: wherever a release is put, it is the same."""
    roots = sorted((root for root in sys.path if root and file.startswith(f"{root}/")), key=len)
    return file[len(roots[-1]) + 1 :] if roots else "/".join(Path(file).parts[-2:])
