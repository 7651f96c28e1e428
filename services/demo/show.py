"""What the demo prints: addresses, the progress, the summary."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.demo.campaign import State

__all__ = ("show_addresses", "show_progress", "show_summary")


def show_addresses(console: Console, addresses: dict[str, str]) -> None:
    """Print where what can be seen."""
    table = Table.grid(padding=(0, 3))
    for name, address in addresses.items():
        table.add_row(name, f"[bold]{address}[/]")
    console.print(table, soft_wrap=True)
    console.print()


def show_progress(console: Console, ask: Callable[[], State]) -> State:
    """Follow the campaign to its end and return how it ended: a bar on a terminal, else a line a second."""
    columns = (TextColumn("sending"), BarColumn(40), MofNCompleteColumn(), TextColumn("mails"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task, last_line = bar.add_task("mails", total=None), 0.0
        while True:
            state = ask()
            bar.update(task, completed=state.done, total=state.total)
            if not console.is_terminal and time.monotonic() - last_line >= 1.0:
                console.print(f"{state.done:,} of {state.total:,} mails", soft_wrap=True)
                last_line = time.monotonic()
            if state.ended:
                return state
            time.sleep(0.25)


def show_summary(console: Console, state: State, delivered: int) -> None:
    """Print how it went; ``delivered`` is what the mail server counted."""
    seconds = state.seconds or 0.001
    console.print(
        f"sent {state.sent:,}  failed {state.failed:,}  uncertain {state.uncertain:,}  "
        f"seconds {seconds:.1f}  jobs/s {state.done / seconds:,.0f}",
        soft_wrap=True,
    )
    console.print(f"The mail server received {delivered:,}.", soft_wrap=True)
