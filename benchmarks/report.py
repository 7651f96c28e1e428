"""The raw JSON, and the table at the end."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS

__all__ = ["keep", "table", "versions"]

RESULTS = Path(__file__).resolve().parent / "results"


def versions(bench: Bench) -> dict[str, dict[str, str]]:
    """What each measured subject's interpreter says of itself."""
    found: dict[str, dict[str, str]] = {}
    for name, subject in SUBJECTS.items():
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
    if "drain" not in bench.raw:
        return _count(bench)
    head = f"{'':<22}{'worker':<14}{'dispatch/s':>12}{'drain/s':>10}{'µs CPU/job':>12}{'total s':>9}"
    rows = [_row(bench, name, rounds) for name, rounds in bench.raw.get("drain", {}).items()]
    rows += [f"{name:<22}missing: {reason}" for name, reason in bench.missing.items()]
    notes = [
        f"  {name}: {subject.less}"
        for name, subject in SUBJECTS.items()
        if subject.less and name in bench.raw.get("drain", {})
    ]
    return "\n".join(["", head, *rows, "", *notes, "", _count(bench)])


def _row(bench: Bench, name: str, rounds: list[dict[str, Any]]) -> str:
    dispatched = [each["rate"] for each in bench.raw.get("dispatch", {}).get(name, [])]
    sent = f"{median(dispatched):,.0f}" if dispatched else "-"
    drained, cpu, total = (median(each[key] for each in rounds) for key in ("rate", "cpu_us_per_job", "total_seconds"))
    worker = bench.raw.get("chosen", {}).get(
        name, f"{rounds[0]['processes']} process" + "es" * (rounds[0]["processes"] > 1)
    )
    return f"{name:<22}{worker:<14}{sent:>12}{drained:>10,.0f}{cpu:>12,.0f}{total:>9.1f}"


def _count(bench: Bench) -> str:
    verdicts = [figure.verdict() for figure in bench.figures]
    goals = sum(1 for figure in bench.figures if figure.reaches_goal())
    ok, short, missing = (verdicts.count(word) for word in ("ok", "short", "missing"))
    return f"{ok} ok (goal reached by {goals}), {short} short, {missing} missing"
