"""C34: what has arrived of a queue and its lanes is taken in turn."""

from __future__ import annotations

from umbel.engine.rabbit_arrivals import Arrivals
from umbel.engine.rabbit_wire import Raw


def raw(name: str, count: int = 0) -> Raw:
    return Raw("q", 1, 1, "", name, None, 0, None, False, count, True)


def filled(**lines: int) -> Arrivals:
    arrivals = Arrivals()
    for name, count in lines.items():
        for number in range(count):
            arrivals.add(name, raw(f"{name}{number}"))
    return arrivals


def taken(arrivals: Arrivals, sources: str, limit: int = 100) -> list[str]:
    return [one.key for one in arrivals.take(list(sources), limit)]


def test_c34_each_source_has_its_turn_and_each_its_order() -> None:
    arrivals = filled(a=4, b=1, c=2)
    assert taken(arrivals, "abc", 4) == ["a0", "b0", "c0", "a1"]
    assert taken(arrivals, "abc") == ["c1", "a2", "a3"]
    assert not arrivals


def test_c34_who_comes_one_by_one_has_no_advantage_and_no_harm() -> None:
    arrivals, order = filled(a=6), []
    for number in range(6):
        arrivals.add("b", raw(f"b{number}"))
        order += taken(arrivals, "ab", 1)
    assert [key[0] for key in order] == list("ababab")


def test_c34_whose_turn_it_is_stays_known_while_nothing_is_here() -> None:
    arrivals = filled(a=1, b=1, c=1)
    taken(arrivals, "abc", 2)
    assert [one.key for one in arrivals.drop({"c"})] == ["c0"]
    assert arrivals.in_turn("abc") == ["c", "a", "b"]
    for name in "abc":
        arrivals.add(name, raw(name))
    assert taken(arrivals, "abc") == ["c", "a", "b"]


def test_what_is_not_asked_for_stays() -> None:
    arrivals = filled(a=1, b=2)
    arrivals.add("b", raw("old", 9))
    assert taken(arrivals, "a") == ["a0"]
    assert [one.key for one in arrivals.drop(["a", "b"], lambda one: one.count < 9)] == ["b0", "b1"]
    assert arrivals.sources() == {"b"}
    assert taken(arrivals, "ab") == ["old"]
