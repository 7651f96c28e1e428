"""The tables and plots of the documentation come from one raw file, and nobody writes them by hand."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks.markdown import costs_table
from benchmarks.plot import DARK, LIGHT, Scheme, bars
from benchmarks.publish import publish, rendered
from benchmarks.summary import Row, rows

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
PAGE = "before\n<!-- benchmarks: written by `python -m benchmarks report` -->\nold\n<!-- /benchmarks -->\nafter\n"


def drain(rate: float, commands: float | None = None) -> dict[str, float]:
    known = {} if commands is None else {"redis_commands_per_job": commands}
    return {"rate": rate, "total_seconds": 1.0, "cpu_us_per_job": 50.0} | known


def raw() -> dict[str, Any]:
    """As ``make bench`` leaves it, with few subjects."""
    return {
        "machine": {
            "cores": 2,
            "redis": "7.0.15",
            "python": "3.11.7",
            "date": "2026-11-25T16:00:00",
            "revision": "abc",
        },
        "versions": {"rq": {"python": "3.11.7", "rq": "3.0.0", "redis": "8.1.0"}},
        "seconds": 60.0,
        "plan": {"name": "quick"},
        "missing": {"sidekiq": "ruby is not installed"},
        "figures": [
            {"code": "P1", "name": "a", "value": 12.0, "first": 10, "goal": 24, "verdict": "ok"},
            {"code": "P1", "name": "b", "value": 3.0, "first": None, "goal": None, "verdict": "info"},
        ],
        "raw": {
            "chosen": {"rq": "in the worker's process"},
            "drain": {
                "rq": [drain(300.0, 57.0), drain(100.0, 57.0), drain(310.0, 57.0)],
                "umbel-redis": [drain(12_000.0, 12.4)],
                "umbel-redis-pair": [drain(20_000.0, 12.4)],
                "umbel": [drain(11_000.0)],
                "floor": [drain(48_000.0, 1.05)],
            },
            "dispatch": {"rq": [{"rate": 2500.0, "redis_commands_per_job": 8.0}]},
            "latency_ms": {"rq": [{"milliseconds": [1.0, 2.0, 30.0]}, {"milliseconds": [1.0, 4.0, 9.0]}]},
            "crowd": {"umbel-redis async": [{"seconds": 1.2}], "umbel-redis threads": [{"seconds": 1.1}]},
        },
    }


def test_rows_are_medians_the_quickest_first() -> None:
    found = rows(raw())
    assert [row.name for row in found] == ["floor", "umbel-redis-pair", "umbel-redis", "umbel", "rq"]
    rq = found[-1]
    assert (rq.drain, rq.dispatch, rq.version, rq.worker) == (300.0, 2500.0, "3.0.0", "in the worker's process")
    assert (rq.dispatch_commands, rq.drain_commands, rq.p50_ms, rq.p99_ms) == (8.0, 57.0, 3.0, 19.5)
    assert (found[2].crowd_seconds, found[1].crowd_seconds, rq.crowd_seconds) == (1.1, None, None)


def test_publish_writes_between_the_marks_and_keeps_the_figures(tmp_path: Path) -> None:
    for page in ("README.md", "docs/operate/benchmarks.md"):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text(PAGE)
    (tmp_path / "raw.json").write_text(json.dumps(raw()))
    written = publish(tmp_path / "raw.json", tmp_path)
    assert all(path.exists() for path in written)
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("before\n")
    assert readme.endswith("\nafter\n")
    assert "old" not in readme
    assert "| RQ | 300 | 2,500 | 3.0 | – | 8 + 57 |" in readme
    assert 'srcset="docs/assets/bench-dark.svg"' in readme
    page = (tmp_path / "docs/operate/benchmarks.md").read_text()
    assert "P1 a 12 first 10 goal 24 ok" in page
    assert "P1 b" not in page
    assert "Not measured: sidekiq (ruby is not installed)." in page
    # Once more from what is kept: nothing changes.
    assert all(path.read_text() == text for path, text in rendered(tmp_path).items())


def test_the_page_shows_what_declarations_cost_beside_what_is_nearest() -> None:
    values = {
        "embedded_drain_with_unique": 0.97,
        "redis_drain_with_unique": 0.88,
        "redis_dispatch_with_unique": None,
        "embedded_drain_with_retry": 1.0,
        "redis_drain_with_unique_vs_celery_singleton": 21.4,
        "redis_drain_with_unique_vs_saq_key": None,
        "celery_singleton_drain_vs_celery_prefork": 0.8,
    }
    shown = costs_table({"figures": [{"code": "P9", "name": name, "value": value} for name, value in values.items()]})
    head, _, unique, retry = shown.splitlines()
    assert head == (
        "| with | embedded drain | embedded dispatch | embedded bulk "
        "| redis drain | redis dispatch | redis bulk | beside |"
    )
    assert unique == "| unique | 97% | – | – | 88% | – | – | celery-singleton: 21.4 times (80% of its own) |"
    assert retry == "| retry | 100% | – | – | – | – | – | – |"
    assert costs_table(raw()) == ""


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "docs/operate").mkdir(parents=True)
    (tmp_path / "README.md").write_text("no marks\n")
    (tmp_path / "docs/operate/benchmarks.md").write_text(PAGE)
    (tmp_path / "raw.json").write_text(json.dumps(raw()))
    with pytest.raises(SystemExit, match=r"README\.md needs the lines"):
        publish(tmp_path / "raw.json", tmp_path)
    assert (tmp_path / "README.md").read_text() == "no marks\n"
    assert (tmp_path / "docs/operate/benchmarks.md").read_text() == PAGE


def test_the_documentation_shows_what_is_kept() -> None:
    """Run `python -m benchmarks report RAW.json`, do not edit."""
    for path, text in rendered(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, path


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_bars_are_as_long_as_their_rates_and_labelled(scheme: Scheme) -> None:
    drawn: list[Row] = [row for row in rows(raw()) if row.server and not row.name.endswith("-pair")]
    tree = ElementTree.fromstring(bars(drawn, "2 cores & more", scheme))  # noqa: S314
    ground, *boxes = tree.findall(f"{SVG}rect")
    lengths = [float(box.attrib["width"]) for box in boxes]
    assert lengths[1] / lengths[0] == pytest.approx(12_000 / 48_000, rel=0.01)
    texts = [text.text for text in tree.findall(f"{SVG}text")]
    assert texts[1] == "2 cores & more"
    assert texts[2:] == ["hand-written loop", "48,000", "Umbel", "12,000", "RQ", "300"]
    assert contrast(scheme.text, ground.attrib["fill"]) > 7
    assert contrast(scheme.quiet, ground.attrib["fill"]) > 4.5
    assert contrast(scheme.ours, ground.attrib["fill"]) > 3


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, as WCAG 2 defines it; 4.5 is its level AA for text."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
