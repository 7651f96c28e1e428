"""The raw JSON, and the table at the end."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS
from benchmarks.subjects.nearest import NEAREST
from benchmarks.summary import Row, rows

__all__ = ["keep", "table", "versions"]

RESULTS = Path(__file__).resolve().parent / "results"


def versions(bench: Bench) -> dict[str, dict[str, str]]:
    """What each measured subject's interpreter says of itself."""
    found: dict[str, dict[str, str]] = {}
    for name, subject in (SUBJECTS | NEAREST).items():
        if bench.available(subject):
            try:
                found[name] = bench.client(subject, "versions")
            except Broken as broken:
                bench.lose(subject, str(broken))
    return found


def keep(bench: Bench, facts: dict[str, Any]) -> Path:
    """Write everything that was measured to ``benchmarks/results/``."""
    RESULTS.mkdir(exist_ok=True)
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = RESULTS / f"{when}-{facts['machine']['revision']}-{bench.plan.name}.json"
    content = facts | {
        "plan": asdict(bench.plan),
        "figures": [asdict(figure) | {"verdict": figure.verdict()} for figure in bench.figures],
        "missing": bench.missing,
        "broken": bench.broken,
        "less": {name: subject.less for name, subject in SUBJECTS.items() if subject.less},
        "raw": bench.raw,
    }
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")
    return path


def table(bench: Bench) -> str:
    """Medians per subject, and what each does less of."""
    found = rows({"raw": bench.raw})
    head = f"{'':<28}{'worker':<24}{'dispatch/s':>12}{'bulk/s':>10}{'drain/s':>10}"
    head += f"{'µs CPU/job':>12}{'commands':>10}{'total s':>9}"
    lines = [head, *[_line(row) for row in found]] if found else []
    lines += [f"{name:<28}missing: {reason}" for name, reason in bench.missing.items()]
    notes = [f"  {row.title}: {row.less}" for row in found if row.less and not row.name.endswith("-pair")]
    return "\n".join(["", *lines, "", *notes, "", _count(bench)])


def _line(row: Row) -> str:
    sent, many = (f"{rate:,.0f}" if rate else "-" for rate in (row.dispatch, row.bulk))
    commands = f"{row.dispatch_commands or 0:.0f} + {row.drain_commands:.0f}" if row.drain_commands else "-"
    begin = f"{row.title:<28.27}{row.worker:<24.23}{sent:>12}{many:>10}{row.drain:>10,.0f}"
    return f"{begin}{row.cpu_us:>12,.0f}{commands:>10}{row.total_seconds:>9.1f}"


def _count(bench: Bench) -> str:
    verdicts = [figure.verdict() for figure in bench.figures]
    goals = sum(1 for figure in bench.figures if figure.reaches_goal())
    ok, short, missing = (verdicts.count(word) for word in ("ok", "short", "missing"))
    return f"{ok} ok (goal reached by {goals}), {short} short, {missing} missing"
