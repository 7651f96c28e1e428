"""How the command line shows where a job stands that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from umbel.cli.console import clock, say

if TYPE_CHECKING:
    from umbel.monitor.whereabouts import Live
    from umbel.state.events import Line

__all__ = ("print_line", "print_live")

_KINDS: Final = {
    "thread": "Its thread stands in",
    "coroutine": "Its coroutine awaits in",
    "process": "Its process stands in",
}


def print_live(live: Live) -> None:
    """Print the frames, and what it has logged last."""
    if live.frames:
        more = f" ({live.omitted} frames further out are not shown)" if live.omitted else ""
        say(f"{_KINDS.get(live.kind or '', 'It stands in')}{more}:")
        for frame in live.frames:
            say(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
            if frame.code:
                say(f"    {frame.code}")
        if live.waits:
            say(f"  which waits for {live.waits}")
    if live.lines:
        say("Its last lines:")
        for line in live.lines:
            print_line(line)


def print_line(line: Line) -> None:
    """Print one line of a job's log; what follows the first of several stands under its text."""
    head = f"  {clock(line.at)} {line.level:<8} "
    name = "" if line.level == "PRINT" else f"{line.logger}: "
    say(head + name + line.text.replace("\n", "\n" + " " * len(head)))
