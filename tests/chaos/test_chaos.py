"""The short campaign of the suite, and proof that the judge sees what it is there to see."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.account import histories, telling
from tests.chaos.campaign import Campaign
from tests.chaos.canvas import Canvas
from tests.chaos.fair import FairCampaign
from tests.chaos.fleet import Fleet
from tests.chaos.killer import Kill
from tests.chaos.lasting_port import lasting_port
from tests.chaos.marks import Mark
from tests.chaos.redis_campaign import RedisCampaign
from tests.chaos.redis_site import RedisSite
from tests.chaos.site import EmbeddedSite, Site
from tests.chaos.soak import Sample, Soak, compare
from tests.chaos.stages import StoppedMoving
from tests.chaos.store_view import StoreView
from tests.chaos.stream import singles
from tests.chaos.verdict import judge
from tests.chaos.workload import Workload
from tests.conftest import need_program
from umbel.engine.registry import open_engine
from umbel.engine.store import Outgoing, Record, Settled
from umbel.testing.contract._suite import payload, until


@pytest.mark.slow
@pytest.mark.serial
def test_workers_killed_at_random_lose_nothing_c14_c18(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """C14, C15, C17, C18: every effect seen, doubled only what was in flight, the chord's callback once."""
    campaign = Campaign(folder=tmp_path, workload=Workload(5_000), kills=6, quarantine=1, everything=1, seed=7)
    verdict = campaign.run()
    with capsys.disabled():
        print(f"\n{verdict.line()}")
    assert verdict.faults == [], "\n".join(verdict.story)
    assert verdict.kills == 6


@pytest.mark.slow
@pytest.mark.parametrize("site", [EmbeddedSite, RedisSite])
def test_the_many_of_one_tenant_do_not_delay_the_one_of_another_c34(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], site: Callable[[Path], Site]
) -> None:
    """C34: while thousands wait, each tenant's only job starts long before they are done."""
    if site is RedisSite:
        need_program("redis-server")
    campaign = FairCampaign(folder=tmp_path, site=site, jobs=10_000, others=5, say=lambda _: None)
    verdict = campaign.run()
    with capsys.disabled():
        print(f"\n{verdict.line()}")
    # How soon is for the long campaign to judge, on a machine of its own; here it is before thousands of others.
    faults = [fault for fault in verdict.faults if "one job started" not in fault]
    assert faults == [], (tmp_path / "worker.log").read_text()[-4000:]
    assert verdict.figures["many_left"] > 2_000


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.parametrize(
    "load",
    [
        pytest.param({"jobs": 4_000, "longest": 0.1, "backlog": 1_000}, id="much waits"),
        pytest.param({"jobs": 2_000, "backlog": 0, "parcels": singles}, id="workers wait"),
    ],
)
def test_a_redis_that_dies_and_a_network_that_is_cut_lose_nothing_c14_c18(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load: dict[str, Any]
) -> None:
    """C14, C15, C18: lost connections double nothing at all, and every worker comes back by itself."""
    need_program("redis-server")
    campaign = RedisCampaign(
        folder=tmp_path,
        kills=5,
        deaths=2,
        cuts=3,
        quarantine=1,
        everything=1,
        seed=7,
        say=lambda _: None,
        **load,
    )
    verdict = campaign.run()
    with capsys.disabled():
        print(f"\n{verdict.line()}")
    # How soon they are back is for the long campaign to judge, on a machine of its own.
    faults = [fault for fault in verdict.faults if not fault.startswith("not back at work")]
    assert faults == [], "\n".join(verdict.story)
    assert (verdict.figures["server_deaths"], verdict.figures["cuts"]) == (2, 3)


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.parametrize("site", [EmbeddedSite, RedisSite])
def test_workers_killed_at_random_break_no_canvas_c5_c18(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], site: Callable[[Path], Site]
) -> None:
    """C5, C18: links, errbacks, retries, chains, groups and chords go on once, and no state leaves an end."""
    if site is RedisSite:
        need_program("redis-server")
    campaign = Campaign(
        folder=tmp_path, workload=Canvas(300, seed=7), site=site, kills=6, quarantine=1, everything=1, seed=7
    )
    verdict = campaign.run()
    with capsys.disabled():
        print(f"\n{verdict.line()}")
    assert verdict.faults == [], "\n".join(verdict.story)
    assert verdict.figures["states_seen"] >= sum(campaign.workload.states.values())


@pytest.mark.parametrize("site", [EmbeddedSite, RedisSite])
def test_observer_sees_a_state_that_leaves_an_end(tmp_path: Path, site: Callable[[Path], Any]) -> None:
    if site is RedisSite:
        need_program("redis-server")
    place = site(tmp_path)
    observer = place.observe()
    engine = open_engine(place.broker)
    try:
        for since, state, final in (
            (0.0, "STARTED", False),
            (0.0, "SUCCESS", True),
            (time.time() + 60, "RETRY", False),
        ):
            meta = json.dumps({"status": state})
            engine.settle([Settled(records=[Record("a", state, final, meta, since=since)])])
        seen, left = observer.stop()
    finally:
        observer.close()
        engine.close()
        place.close()
    assert seen == 3
    assert len(left) == 1
    assert "SUCCESS, then RETRY" in left[0]


def test_the_harness_sees_a_message_that_was_moved_to_a_process_as_held(tmp_path: Path) -> None:
    """A campaign that took the queue for empty would judge before all is done."""
    need_program("redis-server")
    place = RedisSite(tmp_path)
    engine = open_engine(place.direct)
    try:
        engine.open_lease("here@test", ["celery"], 1)
        assert engine.fetch({"celery": 0}, 1) == []
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(engine.wait, 60.0)
            until(lambda: place.view.info()["blocked_clients"] > 0, "the server waits")
            engine.enqueue([Outgoing("celery", payload("a"), "a")])
            assert waiting.result(60)
        assert (place.view.backlog(), place.view.waiting()) == (0, 1)
        assert [held.unit for held in place.view.held_by(os.getpid())] == [("a", 0)]
        assert list(place.view.held().values()) == [1]
        assert "umbel:inbox:" in place.view.integrity(), "none may be left when all is done"
    finally:
        engine.close()
        place.close()


@pytest.mark.slow
@pytest.mark.serial
def test_nothing_grows_at_full_rate_p7(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a minute tells of keys, descriptors and threads; of memory only the long form does."""
    need_program("redis-server")
    soak = Soak(folder=tmp_path, seconds=30.0, every=1.0, results_seconds=3, say=lambda _: None)
    findings = compare(soak.run(), 8.0, 16.0, 8.0)
    with capsys.disabled():
        print("", *(finding.line() for finding in findings), sep="\n")
    memory = [finding for finding in findings if "_mib" in finding.name or "_kib" in finding.name]
    assert [finding.line() for finding in findings if finding.grew and finding not in memory] == []
    assert soak.left == "ok"


def sample(at: float, worker_mib: float, worker_fds: float) -> Sample:
    return Sample(at, {"worker_mib": worker_mib, "worker_fds": worker_fds}, {})


def test_soak_tells_what_grows_from_what_comes_to_rest() -> None:
    at_rest = [sample(at, 70.0 - 100.0 / (at + 1.0), 30) for at in range(0, 100, 5)]
    assert not any(finding.grew for finding in compare(at_rest, 15, 30, 15))
    growing = [sample(at, 70.0 + at, 30 + at / 10) for at in range(0, 100, 5)]
    assert [finding.name for finding in compare(growing, 15, 30, 15) if finding.grew] == ["worker_mib", "worker_fds"]


def test_soak_judges_the_store_by_what_it_holds_and_not_by_how_busy_it_is() -> None:
    busier = {"redis_mib": 0.3, "job_keys": 400.0}
    for name, each in {"redis_kib_a_job_key": 0.01, "job_keys_a_job_a_second": 0.2}.items():
        for grows in (False, True):
            values = [
                {**{one: 30 + at * more for one, more in busier.items()}, name: 5 + grows * at * each}
                for at in range(100)
            ]
            findings = compare([Sample(at, value, {}) for at, value in enumerate(values)], 15, 30, 15)
            assert [finding.name for finding in findings if finding.grew] == [name] * grows


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


def test_a_failure_tells_what_became_of_each() -> None:
    seen = marks(*ONCE, ("B", "a", 4.0, "k"), ("E", "a", 5.0, "k"))
    verdict = judge(2, {"k", "gone"}, seen, [])
    assert histories(seen, verdict.missing, verdict.strange) == [
        "  gone: never begun",
        "  k: begun at 1.000 by 1 as a/0; effect at 2.000 by 1 as a/0; begun at 4.000 by 1 as a/0; "
        "effect at 5.000 by 1 as a/0",
    ]


def test_what_goes_wrong_in_a_campaign_tells_the_state_of_everything(tmp_path: Path) -> None:
    (tmp_path / "worker.log").write_text("it said this\n")
    fleet = Fleet(tmp_path, "sqlite:///nowhere.db", processes=1, concurrency=1)
    with pytest.raises(StoppedMoving) as caught, telling(tmp_path, fleet, StoreView(tmp_path / "nowhere.db")):
        raise StoppedMoving("nothing moves")
    (note,) = caught.value.__notes__
    assert "it said this" in note
    assert "OperationalError" in note, "what cannot be asked is said, and the rest told"


def test_a_port_to_come_back_on_is_given_to_no_outgoing_connection() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < lasting_port() < first for _ in range(20))


def test_judge_asks_nothing_of_a_dispatch_that_ended_in_an_error() -> None:
    keys: set[str] = set()
    assert judge(0, keys, marks(*ONCE), [], unknown={"k"}).faults == []
    assert judge(0, keys, [], [], unknown={"k"}).faults == []
    twice = (*ONCE, ("B", "b", 4.0, "k"), ("E", "b", 5.0, "k"))
    assert "under two ids" in "; ".join(judge(0, keys, marks(*twice), [], unknown={"k"}).faults)


def test_judge_allows_an_end_that_was_on_its_way_over_the_network() -> None:
    strike = [Kill(3.0, "worker", (1,), frozenset({("a", 0)}))]
    assert judge(1, {"k"}, marks(*ONCE), strike, exact=False).faults == []
    assert "never begun again" in "; ".join(judge(1, {"k"}, marks(*ONCE[:1]), strike, exact=False).faults)


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
