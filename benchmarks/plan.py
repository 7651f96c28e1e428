"""How much is measured: the full run, and the quick one that ends within fifteen minutes on two cores."""

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "TINY", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers of jobs, rounds and seconds.

    A subject drains and dispatches about as many jobs as it can in the seconds given here. ``peer_rounds`` is for what
    no ratio is made of: latency and the crowd.
    """

    name: str
    rounds: int
    peer_rounds: int
    tries: int
    trial_seconds: float
    drain_seconds: float
    dispatch_seconds: float
    bulk: int
    latency: int
    peer_latency: int
    crowd: int
    boots: int
    imports: int
    idle_seconds: float
    few: int
    many: int
    million_rounds: int
    recorded_rounds: int
    cost_rounds: int
    cost_seconds: float
    page_views: int


FULL = Plan(
    name="full",
    rounds=3,
    peer_rounds=3,
    tries=2,
    trial_seconds=1.0,
    drain_seconds=3.0,
    dispatch_seconds=1.5,
    bulk=100_000,
    latency=300,
    peer_latency=150,
    crowd=2000,
    boots=7,
    imports=15,
    idle_seconds=20.0,
    few=10_000,
    many=1_000_000,
    million_rounds=15,
    recorded_rounds=5,
    cost_rounds=3,
    cost_seconds=1.5,
    page_views=40,
)

QUICK = Plan(
    name="quick",
    rounds=3,
    peer_rounds=1,
    tries=1,
    trial_seconds=0.4,
    drain_seconds=0.8,
    dispatch_seconds=0.4,
    bulk=30_000,
    latency=100,
    peer_latency=60,
    crowd=2000,
    boots=5,
    imports=7,
    idle_seconds=8.0,
    few=10_000,
    many=200_000,
    million_rounds=9,
    recorded_rounds=3,
    cost_rounds=1,
    cost_seconds=0.5,
    page_views=20,
)

#: Shows that everything runs; its figures mean nothing.
TINY = Plan(
    name="tiny",
    rounds=1,
    peer_rounds=1,
    tries=1,
    trial_seconds=0.05,
    drain_seconds=0.1,
    dispatch_seconds=0.05,
    bulk=1000,
    latency=5,
    peer_latency=5,
    crowd=200,
    boots=1,
    imports=1,
    idle_seconds=0.5,
    few=1000,
    many=5000,
    million_rounds=1,
    recorded_rounds=1,
    cost_rounds=1,
    cost_seconds=0.1,
    page_views=2,
)
