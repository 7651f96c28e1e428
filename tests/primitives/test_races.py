"""C29–C31, C33, C34, C36: fifty threads and eight processes that race for one thing, some of them killed in the middle.

The long form is ``python -m tests.chaos races``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.primitives.crew import crew, in_threads
from tests.primitives.race import Heat, Race, Racer, Told
from tests.primitives.races import RACES
from tests.primitives.stores import Store


@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
def test_fifty_threads_break_no_promise(store: Store, race: Race, tmp_path: Path) -> None:
    assert in_threads(race, store, tmp_path, "threads") == []


def test_eight_processes_of_which_some_are_killed_break_no_promise(
    store: Store, store_url: str, tmp_path: Path
) -> None:
    with crew(store_url, tmp_path, seed=7) as racers:
        faults = [
            fault
            for number, kills in enumerate((0, 2))
            for race in RACES.values()
            for fault in racers.heat(race, store, f"{race.name}{number}", kills)
        ]
    assert faults == []


# -- the harness sees what it is there to see --------------------------------------------------------------------


class Counting(Race):
    """Two steps where one is needed: what is read is written by somebody else meanwhile."""

    name = "counting"

    def __init__(self) -> None:
        self.value = 0

    def run(self, store: Store, heat: str, racer: Racer) -> None:
        seen = self.value
        racer.tell("seen", seen)
        self.value = seen + 1

    def judge(self, store: Store, heat: Heat) -> Iterator[str]:
        if self.value != len(heat.racers):
            yield f"{len(heat.racers)} have counted to {self.value}"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_threads_do_race(store: Store, tmp_path: Path) -> None:
    faults = [fault for number in range(20) for fault in in_threads(Counting(), store, tmp_path, f"c{number}")]
    assert any("have counted to" in fault for fault in faults)


def lines(*told: str) -> list[Told]:
    return [Told(by, tuple(words)) for by, *words in map(str.split, told)]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("race", "told", "fault"),
    [
        ("unique", ["a holder x"], "queued"),
        ("lock", ["a enter 1", "a leave 1", "b enter 2", "b leave 2"], ""),
        ("lock", ["a enter 1", "b enter 2", "a leave 1", "b leave 2"], "b is inside beside a"),
        ("lock", ["a enter 2", "a leave 2", "b enter 1", "b leave 1"], "not above"),
        ("lock", ["a enter 1", "b enter 2", "b leave 2", "a lost 1"], ""),
        ("lock", ["a enter 1", "a leave 1"], "never inside: ['b']"),
        ("probe", ["a probes", "b probes"], "2 probe"),
        ("probe", ["a waits", "b waits"], "0 probe"),
        ("probe", ["a probes", "b passes"], "passed an open"),
        ("replay", ["a replayed x", "b replayed x"], "by two: ['x']"),
        ("rate", [f"a starts {at}" for at in range(7)] + ["b waits 3600"], ""),
        ("rate", [f"a starts {at}" for at in range(7)] + ["b waits 3599"], "8 starts in one window"),
        ("rate", ["a starts 1", "b waits 3601"], "1 started at once"),
        ("slots", ["a enter 1", "b enter 2", "a leave 1", "b leave 2"], ""),
        ("slots", [f"{who} enter {number}" for number, who in enumerate("abcd")], "are inside of 3 slots"),
        ("slots", ["a enter 1", "b enter 1", "a leave 1", "b leave 1"], "one number"),
    ],
)
def test_a_judge_sees_it(store: Store, race: str, told: list[str], fault: str) -> None:
    found = "; ".join(RACES[race].judge(store, Heat("h", lines(*told), {"a", "b"})))
    assert fault in found
    assert fault or not found


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_judge_allows_what_a_kill_explains(store: Store) -> None:
    told = lines("a enter 1", "b enter 2", "b leave 2")
    assert list(RACES["lock"].judge(store, Heat("h", told, {"a", "b"}, {"a"}))) == []
    assert list(RACES["probe"].judge(store, Heat("h", lines("b waits"), {"a", "b"}, {"a"}))) == []
