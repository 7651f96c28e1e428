"""What a campaign tells when it fails, so that the next reader need not have been there."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from tests.chaos.fleet import Fleet
from tests.chaos.marks import Mark, Unit, count_of

__all__ = ("account", "histories", "tail", "telling")

_LINES: Final = 40
_MOST: Final = 20


@contextmanager
def telling(folder: Path, fleet: Fleet, view: Any) -> Iterator[None]:
    """Let whatever goes wrong in the block tell the state of everything at that moment."""
    try:
        yield
    except Exception as error:
        error.add_note(account(folder, fleet, view))
        raise


def account(folder: Path, fleet: Fleet, view: Any) -> str:
    """Return who lives and what he does, what the store holds, and the ends of the logs."""
    lines = ["processes:", *_processes(folder, fleet, view), "store:", *_store(view)]
    for log in (folder / "worker.log", folder / "redis" / "server.log"):
        if log.exists():
            lines += [f"{log.name}:", *(f"  {line}" for line in tail(log))]
    return "\n".join(lines)


def tail(log: Path, lines: int = _LINES) -> list[str]:
    """Return the last lines of a log."""
    return log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []


def histories(marks: Iterable[Mark], keys: Set[str], units: Set[Unit]) -> list[str]:
    """Return of each key or unit what was marked: when, by whom, and whether to its end."""
    found: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        if mark.key in keys or mark.unit in units:
            found[mark.key].append(mark)
    told = []
    for key in sorted({*keys, *found})[:_MOST]:
        seen = [
            f"{'effect' if mark.effect else 'begun'} at {mark.at:.3f} by {mark.pid} as {mark.unit[0]}/{mark.unit[1]}"
            for mark in sorted(found[key], key=lambda one: one.at)
        ]
        told.append(f"  {key}: {'; '.join(seen) or 'never begun'}")
    return told


def _processes(folder: Path, fleet: Fleet, view: Any) -> list[str]:
    found = []
    # Any of them may have gone, and so may the store: what can still be told is.
    with contextlib.suppress(psutil.Error, AssertionError):
        for role in ("worker", "suspects"):
            for child in fleet.children(role):
                with contextlib.suppress(psutil.Error):
                    times = child.cpu_times()
                    found.append(
                        f"  {role} {child.pid}: {child.status()}, {times.user + times.system:.1f} s of processor time, "
                        f"{child.num_threads()} threads, {count_of(folder, child.pid)} marks, "
                        f"holds {_asked(lambda pid=child.pid: len(view.held_by(pid)))}"
                    )
    return found or ["  none"]


def _store(view: Any) -> list[str]:
    letters = _asked(lambda: view.dead()[:_MOST])
    return [f"  {_asked(view.waiting)} messages; dead letters: {letters}; {_asked(view.integrity)}"]


def _asked(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Exception as error:
        return f"({type(error).__name__}: {error})"
