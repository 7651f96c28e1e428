"""The graph of a workflow: who stands where, what is linked to what, and the same as lists."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from umbel.web.charts.graph import Node, graph, nested


def node(name: str, parent: str | None = None, group: str | None = None, **more: object) -> Node:
    values = {"label": f"shop.{name}", "state": "succeeded", "href": f"jobs/{name}", **more}
    return Node(id=name, parent=parent, group=group, **values)  # type: ignore[arg-type]


FAMILY = [
    node("root"),
    node("a", "root", "g"),
    node("other", "root"),
    node("b", "root", "g"),
    node("last", "b", state="failed", is_current=True),
]


def parsed(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)  # noqa: S314


def drawn(nodes: list[Node]) -> ElementTree.Element:
    return parsed(str(graph(nodes, id="g", title="Workflow")))


def place(svg: ElementTree.Element, name: str) -> tuple[float, float]:
    link = next(one for one in svg.iter("a") if one.get("href") == f"jobs/{name}")
    box = link.find("rect")
    assert box is not None
    return float(box.get("x", "nan")), float(box.get("y", "nan"))


def test_what_a_job_has_dispatched_stands_in_the_column_behind_it() -> None:
    svg = drawn(FAMILY)
    columns = {name: place(svg, name)[0] for name in ("root", "a", "b", "other", "last")}
    assert columns["root"] < columns["a"] == columns["b"] == columns["other"] < columns["last"]
    assert len([one for one in svg.iter("path") if one.get("class") == "edge"]) == 4


def test_a_group_is_a_box_around_its_members_alone() -> None:
    svg = drawn(FAMILY)
    (box,) = [one for one in svg.iter("rect") if one.get("class") == "group"]
    top = float(box.get("y", "nan"))
    inside = {
        name for name in ("a", "b", "other") if top <= place(svg, name)[1] <= top + float(box.get("height", "nan"))
    }
    assert inside == {"a", "b"}


def test_each_job_is_a_link_with_a_name_and_the_current_one_says_so() -> None:
    svg = drawn(FAMILY)
    assert {(one[0].tag.rpartition("}")[2], (one[0].text or "").rpartition(",")[0]) for one in svg.iter("a")} == {
        ("title", "shop.root: succeeded"),
        ("title", "shop.a: succeeded"),
        ("title", "shop.b: succeeded"),
        ("title", "shop.other: succeeded"),
        ("title", "shop.last: failed"),
    }
    assert [one.get("href") for one in svg.iter("a") if one.get("aria-current")] == ["jobs/last"]


def test_the_list_says_what_came_of_what() -> None:
    found = parsed(str(nested(FAMILY)))
    (root,) = found.findall("li")
    assert [one.findtext("a") for one in root.findall("ul/li")] == ["shop.a", "shop.b", "shop.other"]
    assert [one.findtext("a") for one in root.findall("ul/li")[1].findall("ul/li")] == ["shop.last"]


def test_names_are_escaped() -> None:
    evil = node("x", label='<script>"&', href="jobs/x?a=1&b=2")
    for markup in (str(graph([evil], id="g", title="<b>")), str(nested([evil]))):
        assert "<script" not in markup
        assert "<b>" not in markup
        parsed(markup)


def test_nothing_at_all_is_drawn_too() -> None:
    assert drawn([]).get("class") == "graph"
    assert nested([]) == ""


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([None, "g", "h"])), max_size=100))
def test_whatever_the_parents_are_each_job_is_drawn_once_and_none_on_another(
    family: list[tuple[int, str | None]],
) -> None:
    """Messages that were made by hand may name parents in a circle, or themselves."""
    nodes = [node(f"n{at}", f"n{parent}", group) for at, (parent, group) in enumerate(family)]
    svg = drawn(nodes)
    places = [place(svg, one.id) for one in nodes]
    assert len(set(places)) == len([*svg.iter("a")]) == len(nodes)
    assert len(re.findall("<li>", str(nested(nodes)))) == len(nodes)
