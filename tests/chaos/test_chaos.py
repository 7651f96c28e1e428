"""The short campaign of the suite, and proof that the judge sees what it is there to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.killer import Kill
from tests.chaos.marks import Mark
from tests.chaos.redis_campaign import RedisCampaign
from tests.chaos.verdict import judge
from tests.chaos.workload import Workload
from tests.conftest import need_program


@pytest.mark.slow
@pytest.mark.serial
def test_workers_killed_at_random_lose_nothing_c14_c18(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """C14, C15, C17, C18: every effect seen, doubled only what was in flight, the chord's callback once."""
    campaign = Campaign(folder=tmp_path, workload=Workload(5_000), kills=6, quarantine=1, everything=1, seed=7)
    verdict = campaign.run()
    with capsys.disabled():
        print(f"\n{verdict.line()}")
    assert verdict.faults == [], (tmp_path / "worker.log").read_text()[-4000:]
    assert verdict.kills == 6


@pytest.mark.slow
@pytest.mark.serial
def test_a_redis_that_dies_and_a_network_that_is_cut_lose_nothing_c14_c18(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """C14, C15, C18: lost connections double nothing at all, and every worker comes back by itself."""
    need_program("redis-server")
    campaign = RedisCampaign(
        folder=tmp_path,
        jobs=4_000,
        kills=5,
        deaths=2,
        cuts=3,
        quarantine=1,
        everything=1,
        longest=0.1,
        backlog=1_000,
        seed=7,
        say=lambda _: None,
    )
    verdict = campaign.run()
    with capsys.disabled():
        print(f"\n{verdict.line()}")
    # How soon they are back is for the long campaign to judge, on a machine of its own.
    faults = [fault for fault in verdict.faults if not fault.startswith("not back at work")]
    assert faults == [], (tmp_path / "worker.log").read_text()[-4000:]
    assert (verdict.figures["server_deaths"], verdict.figures["cuts"]) == (2, 3)


def marks(*lines: tuple[str, str, float, str]) -> list[Mark]:
    return [Mark(kind == "E", (unit, 0), 1, at, key) for kind, unit, at, key in lines]


ONCE = (("B", "a", 1.0, "k"), ("E", "a", 2.0, "k"))


@pytest.mark.parametrize(
    ("seen", "kills", "fault"),
    [
        (ONCE, [], ""),
        ((), [], "1 lost: k"),
        ((*ONCE, ("B", "a", 4.0, "k"), ("E", "a", 5.0, "k")), [], "done again without a kill"),
        ((*ONCE, ("B", "a", 4.0, "k"), ("E", "a", 5.0, "k")), [3.0], ""),
        (ONCE, [3.0], "in flight at a kill and never begun again"),
        ((*ONCE, ("B", "a", 40.0, "k")), [3.0], "37.0 s"),
        ((*ONCE, ("B", "b", 4.0, "k"), ("E", "b", 5.0, "k")), [], "under two ids"),
        ((*ONCE, ("B", "b", 4.0, "x"), ("E", "b", 5.0, "x")), [], "nobody asked for: x"),
    ],
)
def test_judge(seen: tuple[tuple[str, str, float, str], ...], kills: list[float], fault: str) -> None:
    strikes = [Kill(at, "worker", (1,), frozenset({("a", 0)})) for at in kills]
    faults = judge(1, {"k"}, marks(*seen), strikes).faults
    assert (fault in "; ".join(faults)) if fault else not faults


def test_judge_asks_nothing_of_a_dispatch_that_ended_in_an_error() -> None:
    keys: set[str] = set()
    assert judge(0, keys, marks(*ONCE), [], unknown={"k"}).faults == []
    assert judge(0, keys, [], [], unknown={"k"}).faults == []
    twice = (*ONCE, ("B", "b", 4.0, "k"), ("E", "b", 5.0, "k"))
    assert "under two ids" in "; ".join(judge(0, keys, marks(*twice), [], unknown={"k"}).faults)


def test_judge_allows_a_second_successor_where_ends_are_not_atomic_c18() -> None:
    """With ``prefork`` a retry may be published twice when the attempt before it was in flight at a kill (C18)."""
    seen = []
    for at in (1.0, 5.0):
        for attempt in (0, 1):
            seen += [Mark(effect, ("a", attempt), 1, at + attempt, f"r1/{attempt}") for effect in (False, True)]
    kill = Kill(3.0, "worker", (1,), frozenset({("a", 0)}))
    keys = {"r1/0", "r1/1"}
    assert judge(1, keys, seen, [kill], atomic=False).faults == []
    assert "done again" in "; ".join(judge(1, keys, seen, [kill]).faults)
