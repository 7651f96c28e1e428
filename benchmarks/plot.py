"""The bars of the README: jobs a second through one worker process, as SVG in two colour schemes."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.summary import Row

__all__ = ["DARK", "LIGHT", "Scheme", "bars"]

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP, _BAR = 760, 196, 84, 66, 25, 17
_FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\""


@dataclass(frozen=True, slots=True)
class Scheme:
    """The colours of one scheme; both are drawn on a ground of their own, so neither depends on the page's."""

    name: str
    ground: str
    text: str
    quiet: str
    ours: str
    theirs: str


LIGHT = Scheme("light", "#ffffff", "#1f2328", "#59636e", "#2c8c4a", "#9aa4af")
DARK = Scheme("dark", "#0d1117", "#f0f6fc", "#9198a1", "#3fb950", "#656d76")


def bars(rows: list[Row], note: str, scheme: Scheme) -> str:
    """One bar a row on a linear scale that begins at 0; the floor, which is no queue, is an outline."""
    height = _TOP + _STEP * len(rows) + 12
    most = max(row.drain for row in rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" {_FONT} font-size="13">',
        f"<title>{escape(_described(rows))}</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="{scheme.ground}"/>',
        f'<text x="16" y="28" font-size="16" font-weight="600" fill="{scheme.text}">'
        "Jobs a second through one worker process</text>",
        f'<text x="16" y="48" font-size="12" fill="{scheme.quiet}">{escape(note)}</text>',
    ]
    for number, row in enumerate(rows):
        lines += _bar(row, _TOP + _STEP * number, most, scheme)
    return "\n".join([*lines, "</svg>", ""])


def _bar(row: Row, top: int, most: float, scheme: Scheme) -> list[str]:
    length = max(1.5, (_WIDTH - _LEFT - _RIGHT) * row.drain / most)
    ours = row.name.startswith("umbel")
    weight, colour = (' font-weight="600"', scheme.text) if ours else ("", scheme.quiet)
    look = f'fill="{scheme.ours if ours else scheme.theirs}"'
    if row.name == "floor":
        look = f'fill="none" stroke="{scheme.theirs}" stroke-dasharray="4 3"'
    base = top + _BAR - 4
    return [
        f'<text x="{_LEFT - 10}" y="{base}" text-anchor="end"{weight} fill="{colour}">{escape(row.title)}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_BAR}" rx="2" {look}/>',
        f'<text x="{_LEFT + length + 8:.1f}" y="{base}"{weight} fill="{scheme.text}">{row.drain:,.0f}</text>',
    ]


def _described(rows: list[Row]) -> str:
    return "Jobs a second: " + ", ".join(f"{row.title} {row.drain:,.0f}" for row in rows)
