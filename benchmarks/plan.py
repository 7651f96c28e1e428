"""How much is measured: the full run, and the quick one that ends within ten minutes on two cores."""

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers of jobs, rounds and seconds."""

    name: str
    rounds: int
    trial: int
    drain: int
    celery_drain: int
    dispatch: int
    celery_dispatch: int
    bulk: int
    latency: int
    boots: int
    imports: int
    idle_seconds: float
    few: int
    many: int
    million_rounds: int


FULL = Plan(
    name="full",
    rounds=3,
    trial=2000,
    drain=20_000,
    celery_drain=2000,
    dispatch=5000,
    celery_dispatch=1000,
    bulk=100_000,
    latency=300,
    boots=7,
    imports=15,
    idle_seconds=20.0,
    few=10_000,
    many=1_000_000,
    million_rounds=5,
)

QUICK = Plan(
    name="quick",
    rounds=3,
    trial=1500,
    drain=8000,
    celery_drain=500,
    dispatch=2000,
    celery_dispatch=300,
    bulk=50_000,
    latency=120,
    boots=5,
    imports=7,
    idle_seconds=10.0,
    few=10_000,
    many=200_000,
    million_rounds=3,
)
