"""A workflow as a graph, from the left to the right: what each job has dispatched stands in the column behind it.

Members of one group stand below each other in a box. Every job is a link to its page. The same is there as nested
lists, in which nobody needs to see a line to know what came of what. Costs: about ten microseconds a job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from umbel.web.charts.elements import element

__all__ = ("Node", "graph", "nested")

_WIDTH: Final = 190
_HEIGHT: Final = 38
_COLUMN: Final = 240
_ROW: Final = 52
_EDGE: Final = 14
_LABEL_MOST: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One job. ``parent`` and ``group`` are ids; a parent that is not shown is none."""

    id: str
    parent: str | None
    group: str | None
    label: str
    state: str
    href: str
    #: Whether it is the one that the page is about.
    is_current: bool = False


@dataclass(slots=True)
class _Placed:
    """A node with what came of it, and where it stands: a column, and a row that may be between two."""

    node: Node
    column: int
    children: list[_Placed] = field(default_factory=list)
    row: float = 0.0

    @property
    def x(self) -> int:
        return _EDGE + self.column * _COLUMN

    @property
    def y(self) -> float:
        return _EDGE + self.row * _ROW


def graph(nodes: Sequence[Node], *, id: str, title: str) -> Markup:
    """Return the SVG of ``nodes``, which is as wide as it needs."""
    roots = _trees(nodes)
    rows = _place(roots)
    placed = list(_all(roots))
    columns = max((one.column for one in placed), default=0) + 1
    width, height = 2 * _EDGE + (columns - 1) * _COLUMN + _WIDTH, 2 * _EDGE + max(0, rows - 1) * _ROW + _HEIGHT
    return element(
        "svg",
        element("title", title, id=f"{id}-title"),
        *_boxes(placed),
        *(_edge(one, child) for one in placed for child in one.children),
        *(_node(one) for one in placed),
        class_="graph",
        role="group",
        aria_labelledby=f"{id}-title",
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
    )


def nested(nodes: Sequence[Node]) -> Markup:
    """Return ``nodes`` as nested lists."""
    return _list(_trees(nodes))


def _trees(nodes: Sequence[Node]) -> list[_Placed]:
    """Return the nodes that came of none of the others, with all that came of them."""
    ids = {node.id for node in nodes}
    children: dict[str | None, list[Node]] = {}
    for node in nodes:
        parent = node.parent if node.parent in ids and node.parent != node.id else None
        children.setdefault(parent, []).append(node)
    left = dict.fromkeys(node.id for node in nodes)
    roots = [_tree(node, children, left, 0) for node in _by_group(children.get(None, ())) if node.id in left]
    # What is each other's parent, which only a message that was made by hand can say.
    roots += [_tree(node, children, left, 0) for node in nodes if node.id in left]
    return roots


def _tree(root: Node, children: Mapping[str | None, Sequence[Node]], left: dict[str, None], column: int) -> _Placed:
    top = _Placed(root, column)
    del left[root.id]
    todo = [top]
    while todo:
        one = todo.pop()
        for child in _by_group(children.get(one.node.id, ())):
            if child.id in left:
                del left[child.id]
                one.children.append(_Placed(child, one.column + 1))
        todo.extend(one.children)
    return top


def _by_group(nodes: Sequence[Node]) -> list[Node]:
    """Return nodes so that members of one group follow each other, otherwise in their order."""
    first = {node.group: at for at, node in reversed(list(enumerate(nodes))) if node.group is not None}
    places = {node.id: (first[node.group] if node.group is not None else at, at) for at, node in enumerate(nodes)}
    return sorted(nodes, key=lambda node: places[node.id])


def _place(roots: Sequence[_Placed]) -> int:
    """Give each node its row: the ends one each, others in the middle of what came of them; return how many rows."""
    rows = 0
    todo = [(one, False) for one in reversed(roots)]
    while todo:
        one, is_back = todo.pop()
        if not one.children:
            one.row, rows = float(rows), rows + 1
        elif is_back:
            one.row = (one.children[0].row + one.children[-1].row) / 2
        else:
            todo.append((one, True))
            todo.extend((child, False) for child in reversed(one.children))
    return rows


def _all(roots: Sequence[_Placed]) -> Iterator[_Placed]:
    todo = list(reversed(roots))
    while todo:
        one = todo.pop()
        yield one
        todo.extend(reversed(one.children))


def _boxes(placed: Sequence[_Placed]) -> Iterator[Markup]:
    """Yield a box around those members of each group that stand below each other."""
    groups: dict[tuple[str, int], list[_Placed]] = {}
    for one in placed:
        if one.node.group is not None:
            groups.setdefault((one.node.group, one.column), []).append(one)
    for members in groups.values():
        if len(members) > 1:
            top, bottom = min(one.y for one in members), max(one.y for one in members)
            yield element(
                "rect",
                element("title", f"A group, {len(members)} of its members"),
                class_="group",
                x=members[0].x - 8,
                y=top - 8,
                width=_WIDTH + 16,
                height=bottom - top + _HEIGHT + 16,
                rx=8,
            )


def _edge(one: _Placed, child: _Placed) -> Markup:
    x, y, to_x, to_y = one.x + _WIDTH, one.y + _HEIGHT / 2, child.x, child.y + _HEIGHT / 2
    middle = (x + to_x) / 2
    return element("path", class_="edge", d=f"M{x} {y:g}C{middle:g} {y:g} {middle:g} {to_y:g} {to_x} {to_y:g}")


def _node(one: _Placed) -> Markup:
    node = one.node
    name = node.label if len(node.label) <= _LABEL_MOST else f"…{node.label[1 - _LABEL_MOST :]}"
    current = " current" if node.is_current else ""
    return element(
        "a",
        # It is the link's name too: of a long label only the end is drawn.
        element("title", f"{node.label}: {node.state}, {node.id}"),
        element("rect", class_="box", x=one.x, y=one.y, width=_WIDTH, height=_HEIGHT, rx=6),
        element("rect", class_="side", x=one.x, y=one.y, width=6, height=_HEIGHT, rx=3),
        element("text", name, class_="name", x=one.x + 14, y=one.y + 16),
        element("text", node.state, class_="state", x=one.x + 14, y=one.y + 31),
        class_=f"node {node.state}{current}",
        href=node.href,
        aria_current="true" if node.is_current else None,
    )


def _list(level: Sequence[_Placed]) -> Markup:
    return element("ul", *(_item(one) for one in level)) if level else Markup("")


def _item(one: _Placed) -> Markup:
    node = one.node
    link = element("a", node.label, href=node.href, aria_current="true" if node.is_current else None)
    return element("li", link, f" {node.state}", _list(one.children))
