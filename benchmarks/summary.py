"""What is published of a run: medians for each subject, small enough to be kept beside the documentation."""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.percentile import percentile
from benchmarks.subjects import SUBJECTS

__all__ = ["Row", "rows", "summarize"]


@dataclass(frozen=True, slots=True)
class Row:
    """One subject; what was not measured is None. Rates are jobs a second."""

    name: str
    title: str
    version: str
    worker: str
    server: str
    less: str
    drain: float
    total_seconds: float
    cpu_us: float
    dispatch: float | None
    bulk: float | None
    dispatch_commands: float | None
    drain_commands: float | None
    p50_ms: float | None
    p99_ms: float | None
    crowd_seconds: float | None


def summarize(content: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a raw file."""
    kept = {name: content[name] for name in ("machine", "seconds", "missing", "figures")}
    return kept | {"plan": content["plan"]["name"], "rows": [asdict(row) for row in rows(content)]}


def rows(content: dict[str, Any]) -> list[Row]:
    """A row for each subject that was drained, the quickest first."""
    raw = content["raw"]
    found = [_row(content, raw, name, rounds) for name, rounds in raw.get("drain", {}).items()]
    return sorted(found, key=lambda row: -row.drain)


def _row(content: dict[str, Any], raw: dict[str, Any], name: str, rounds: list[dict[str, Any]]) -> Row:
    subject = SUBJECTS[name.removesuffix("-pair")]
    pair = name != subject.name
    sent, many = raw.get("dispatch", {}).get(name, []), raw.get("bulk", {}).get(name, [])
    late = [each["milliseconds"] for each in raw.get("latency_ms", {}).get(name, [])]
    return Row(
        name=name,
        title=subject.title + (", two processes" if pair else ""),
        version=_version(content.get("versions", {}).get(subject.name, {}), name),
        worker=raw.get("chosen", {}).get(name, "two processes" if pair else subject.variants[0].name),
        server=subject.server,
        less=subject.less,
        drain=median(each["rate"] for each in rounds),
        total_seconds=median(each["total_seconds"] for each in rounds),
        cpu_us=median(each["cpu_us_per_job"] for each in rounds),
        dispatch=_middle(sent, "rate"),
        bulk=_middle(many, "rate"),
        dispatch_commands=_middle(sent, "redis_commands_per_job"),
        drain_commands=_middle(rounds, "redis_commands_per_job"),
        p50_ms=median(percentile(values, 0.5) for values in late) if late else None,
        p99_ms=median(percentile(values, 0.99) for values in late) if late else None,
        crowd_seconds=None if pair else _quickest_crowd(raw, subject.name),
    )


def _middle(outcomes: list[dict[str, Any]], key: str) -> float | None:
    values = [each[key] for each in outcomes if key in each]
    return median(values) if values else None


def _quickest_crowd(raw: dict[str, Any], name: str) -> float | None:
    names = [f"{name} {variant.name}" for variant in SUBJECTS[name].crowds]
    found = [_middle(raw.get("crowd", {}).get(each, []), "seconds") for each in names]
    return min((seconds for seconds in found if seconds is not None), default=None)


def _version(versions: dict[str, str], name: str) -> str:
    return next((version for library, version in versions.items() if name.startswith(library)), "")
