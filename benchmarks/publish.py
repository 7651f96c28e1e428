"""``python -m benchmarks report RAW.json``: the tables and plots of the documentation, all from one raw file.

What is published of it is kept as ``docs/assets/benchmarks.json``, and everything is drawn from that.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.markdown import costs_table, figures, short_table, whole_table
from benchmarks.plot import DARK, LIGHT, bars
from benchmarks.summary import Row, summarize

__all__ = ["publish", "rendered"]

_BEGIN, _END = "<!-- benchmarks: written by `python -m benchmarks report` -->", "<!-- /benchmarks -->"
_KEPT = Path("docs/assets/benchmarks.json")
_README, _PAGE = Path("README.md"), Path("docs/operate/benchmarks.md")
_LIGHT, _DARK = Path("docs/assets/bench-light.svg"), Path("docs/assets/bench-dark.svg")


def publish(raw: Path, project: Path) -> list[Path]:
    """Write everything below ``project``; returns what was written."""
    kept = project / _KEPT
    kept.parent.mkdir(parents=True, exist_ok=True)
    summary = summarize(json.loads(raw.read_text(encoding="utf-8")))
    kept.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    written = rendered(project)
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return [kept, *written]


def rendered(project: Path) -> dict[Path, str]:
    """What the documentation must contain, from the figures that are kept in it; nothing before a run is published."""
    if not (project / _KEPT).exists():
        return {}
    summary = json.loads((project / _KEPT).read_text(encoding="utf-8"))
    rows = [Row(**row) for row in summary["rows"]]
    served = [row for row in rows if row.server]
    drawn = [row for row in served if not row.name.endswith("-pair")]
    note = _where(summary)
    return {
        project / _LIGHT: bars(drawn, f"{note}; no-op jobs, results stored", LIGHT),
        project / _DARK: bars(drawn, f"{note}; no-op jobs, results stored", DARK),
        project / _README: _between(project / _README, _for_readme(drawn, rows, note)),
        project / _PAGE: _between(project / _PAGE, _for_page(served, rows, summary, note)),
    }


def _for_readme(drawn: list[Row], rows: list[Row], note: str) -> str:
    embedded = [row for row in rows if row.name == "umbel"]
    picture = (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="{_DARK}">\n'
        f'  <img alt="Jobs a second through one worker process, in the table below" src="{_LIGHT}">\n</picture>'
    )
    return f"{picture}\n\n{short_table([*embedded, *drawn])}\n\n{note}."


def _for_page(served: list[Row], rows: list[Row], summary: dict[str, Any], note: str) -> str:
    own = [row for row in rows if not row.server]
    absent = "".join(f"\n\nNot measured: {name} ({why})." for name, why in summary["missing"].items())
    costs = costs_table(summary)
    shares = f"\n\nWith one declaration, as a share of the rate without:\n\n{costs}" if costs else ""
    return (
        f"{note}. From commit {summary['machine']['revision']}; commands are those of dispatch + drain.\n\n"
        f"On a server:\n\n{whole_table(served)}\n\nWithout one:\n\n{whole_table(own)}{shares}{absent}"
        f"\n\n{figures(summary)}"
    )


def _where(summary: dict[str, Any]) -> str:
    machine = summary["machine"]
    run = "" if summary["plan"] == "full" else f", {summary['plan']} run"
    redis = f"Redis {machine['redis']}" if machine.get("redis") else "Redis"
    return f"{machine['cores']} cores, {redis}, Python {machine['python']}, {machine['date'][:10]}{run}"


def _between(page: Path, text: str) -> str:
    """The page with ``text`` between its two marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise SystemExit(f"{page} needs the lines {_BEGIN} and {_END}, where the table is to stand.")
    return f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}"
