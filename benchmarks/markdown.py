"""The tables of the README and of the benchmark's page."""

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.figure import Figure
from benchmarks.summary import Row

__all__ = ["costs_table", "figures", "short_table", "whole_table"]

_PLACES = ("embedded", "redis")
_COSTS = {"drain": "drain", "dispatch": "dispatch", "enqueue_many": "bulk"}

_Column = tuple[str, Callable[[Row], str]]


def short_table(rows: list[Row]) -> str:
    """What a reader of the README wants to compare."""
    columns: list[_Column] = [
        ("", _title),
        ("drain/s", lambda row: _number(row.drain)),
        ("dispatch/s", lambda row: _number(row.dispatch)),
        ("idle latency, p50 ms", lambda row: _decimals(row.p50_ms)),
        ("2,000 × 50 ms at 100, s", lambda row: f"{row.crowd_seconds:.2f}" if row.crowd_seconds else "–"),
        ("Redis commands a job", _commands),
    ]
    return _table(columns, rows)


def whole_table(rows: list[Row]) -> str:
    """Everything that is known of each subject."""
    columns: list[_Column] = [
        ("", _title),
        ("version", lambda row: row.version or "–"),
        ("worker", lambda row: row.worker),
        ("dispatch/s", lambda row: _number(row.dispatch)),
        ("bulk/s", lambda row: _number(row.bulk)),
        ("drain/s", lambda row: _number(row.drain)),
        ("µs CPU/job", lambda row: _number(row.cpu_us)),
        ("Redis commands/job", _commands),
        ("p50 / p99 ms", lambda row: f"{_decimals(row.p50_ms)} / {_decimals(row.p99_ms)}" if row.p50_ms else "–"),
        ("2,000 × 50 ms", lambda row: f"{row.crowd_seconds:.2f} s" if row.crowd_seconds else "–"),
    ]
    return _table(columns, rows)


def figures(summary: dict[str, Any]) -> str:
    """The figures that have something to reach."""
    found = [Figure(**{key: value for key, value in each.items() if key != "verdict"}) for each in summary["figures"]]
    lines = [figure.line() for figure in found if figure.first is not None or figure.goal is not None]
    return "\n".join(["```text", *lines, "```"])


def costs_table(summary: dict[str, Any]) -> str:
    """What each declaration costs; nothing of a run that has not measured it."""
    found = {each["name"]: each["value"] for each in summary["figures"] if each["code"] == "P9"}
    names = [name.removeprefix("embedded_drain_with_") for name in found if name.startswith("embedded_drain_with_")]
    if not names:
        return ""
    lines = [["with", *(f"{place} {rate}" for place in _PLACES for rate in _COSTS.values()), "beside"]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 2), "---"])
    for name in names:
        ours = (found.get(f"{place}_{rate}_with_{name}") for place in _PLACES for rate in _COSTS)
        lines.append([name, *map(_percent, ours), _beside(found, name)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _beside(found: dict[str, float | None], name: str) -> str:
    """What is nearest elsewhere: how many times as fast this is, and what that itself keeps of its plain rate."""
    begin = f"redis_drain_with_{name}_vs_"
    told = []
    for peer in (figure.removeprefix(begin) for figure in found if figure.startswith(begin)):
        times, kept = found[begin + peer], _first(found, f"{peer}_drain_vs_")
        if times is not None:
            told.append(f"{peer.replace('_', '-')}: {times:.1f} times ({_percent(kept)} of its own)")
    return "; ".join(told) or "–"


def _first(found: dict[str, float | None], begin: str) -> float | None:
    return next((value for name, value in found.items() if name.startswith(begin)), None)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _table(columns: list[_Column], rows: list[Row]) -> str:
    lines: list[Iterable[str]] = [[name for name, _ in columns], ["---", *["---:"] * (len(columns) - 1)]]
    lines += [[value(row) for _, value in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _title(row: Row) -> str:
    return f"**{row.title}**" if row.name.startswith("umbel") else row.title


def _commands(row: Row) -> str:
    if row.drain_commands is None:
        return "–"
    sent = f"{row.dispatch_commands:.0f} + " if row.dispatch_commands is not None else ""
    return f"{sent}{row.drain_commands:.0f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _decimals(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if value < 10 else f"{value:.0f}"
