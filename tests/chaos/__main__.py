"""``make chaos``: the long campaigns, one after the other, or those named. Exit code 1 when the contract was broken."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.chaos.beside_flower import FlowerCampaign
from tests.chaos.campaign import Campaign
from tests.chaos.canvas import Canvas
from tests.chaos.effects import EffectCampaign
from tests.chaos.fair import FairCampaign, Place
from tests.chaos.limits import LimitCampaign
from tests.chaos.rabbit_site import RabbitSite
from tests.chaos.races import Races, RacesVerdict
from tests.chaos.recording import RecordingCampaign
from tests.chaos.redis_campaign import RedisCampaign
from tests.chaos.redis_site import RedisSite
from tests.chaos.site import EmbeddedSite, Site
from tests.chaos.stages import end_in_order
from tests.chaos.stream import singles
from tests.chaos.verdict import Verdict
from tests.chaos.workload import Workload
from tests.integration.batches.killing import campaign
from tests.integration.batches.scenarios import SCENARIOS
from tests.primitives.crew import PROCESSES

__all__ = ("main",)


def _embedded(options: argparse.Namespace, **common: Any) -> Verdict:
    kills = options.kills or 50
    return Campaign(
        workload=Workload(options.jobs or 100_000),
        kills=kills,
        quarantine=kills // 8,
        everything=max(1, kills // 25),
        processes=options.processes,
        pool=options.pool,
        **common,
    ).run()


def _redis(options: argparse.Namespace, jobs: int = 1_000_000, **common: Any) -> Verdict:
    kills = options.kills or 100
    return RedisCampaign(
        jobs=options.jobs or jobs,
        kills=kills,
        deaths=max(1, kills // 10),
        cuts=max(3, kills // 5),
        quarantine=kills // 8,
        everything=max(1, kills // 25),
        processes=options.processes,
        **common,
    ).run()


def _canvas(options: argparse.Namespace, site: Callable[[Path], Site], **common: Any) -> Verdict:
    kills = options.kills or 60
    return Campaign(
        workload=Canvas((options.jobs or 100_000) // 10, seed=options.seed),
        site=site,
        kills=kills,
        quarantine=kills // 8,
        everything=max(1, kills // 25),
        processes=options.processes,
        **common,
    ).run()


def _races(options: argparse.Namespace, **common: Any) -> RacesVerdict:
    return Races(heats=(options.jobs or 20_000) // 100, kills=min(options.kills or 2, PROCESSES - 1), **common).run()


def _batches(options: argparse.Namespace, folder: Path, say: Callable[[str], None], seed: int) -> Verdict:
    """Each line of batches and checkpoints, on both stores that hold messages."""
    deaths, faults = 0, []
    # What sweepers and locks say of each death.
    logging.disable(logging.WARNING)
    site = RedisSite(folder, append=False)
    try:
        for url in (f"sqlite:///{folder}/jobs.db", site.direct):
            for name in SCENARIOS:
                died, found = campaign(url, name, lanes=os.cpu_count() or 1)
                say(f"chaos batches {url.partition(':')[0]} {name}: died at {died} lines, {len(found)} faults")
                deaths, faults = deaths + died, faults + found
    finally:
        site.close()
    return Verdict(deaths, deaths, 0, 0, 0, 0.0, faults=faults)


def _effects(options: argparse.Namespace, site: Callable[[Path], Site], **common: Any) -> Verdict:
    return EffectCampaign(site=site, **common).run()


def _limits(options: argparse.Namespace, site: Callable[[Path], Site], **common: Any) -> Verdict:
    return LimitCampaign(jobs=options.jobs or 1000, processes=4, site=site, **common).run()


def _fair(options: argparse.Namespace, site: Callable[[Path], Place], jobs: int = 1_000_000, **common: Any) -> Verdict:
    return FairCampaign(site=site, jobs=options.jobs or jobs, **common).run()


def _recording(options: argparse.Namespace, **common: Any) -> Verdict:
    return RecordingCampaign(jobs=options.jobs or 50_000, kills=options.kills or 20, **common).run()


def _flower(options: argparse.Namespace, **common: Any) -> Verdict:
    return FlowerCampaign(jobs=options.jobs or 10_000, **common).run()


_CAMPAIGNS: Final[dict[str, Callable[..., Verdict | RacesVerdict]]] = {
    "embedded": _embedded,
    "redis": _redis,
    "redis-idle": partial(_redis, jobs=50_000, backlog=0, parcels=singles),
    "canvas": partial(_canvas, site=EmbeddedSite),
    "canvas-redis": partial(_canvas, site=RedisSite),
    "races": _races,
    "batches": _batches,
    "effects": partial(_effects, site=EmbeddedSite),
    "effects-redis": partial(_effects, site=partial(RedisSite, append=False)),
    "limits": partial(_limits, site=EmbeddedSite),
    "limits-redis": partial(_limits, site=partial(RedisSite, append=False)),
    "recording": _recording,
    "flower": _flower,
    "fair": partial(_fair, site=partial(RedisSite, append=False)),
    "fair-embedded": partial(_fair, site=EmbeddedSite),
    "fair-rabbit": partial(_fair, site=RabbitSite, jobs=100_000),
    "fair-rabbit-postgres": partial(_fair, site=partial(RabbitSite, postgres=True), jobs=100_000),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=f"of {', '.join(_CAMPAIGNS)} (default: all)")
    parser.add_argument("--jobs", type=int, help="instead of the campaign's own number")
    parser.add_argument("--kills", type=int, help="instead of the campaign's own number; other faults in proportion")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--pool", default="default", choices=("default", "prefork"), help="of the embedded campaign")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="keep everything here, for a look afterwards")
    parser.add_argument("--quiet", action="store_true", help="only the figures")
    options = parser.parse_args()
    unknown = set(options.campaigns) - _CAMPAIGNS.keys()
    if unknown:
        parser.error(f"there is no campaign {', '.join(sorted(unknown))}: say {', '.join(_CAMPAIGNS)}")
    end_in_order()
    with tempfile.TemporaryDirectory(prefix="umbel-chaos-") as temporary:
        place = options.folder or Path(temporary)
        broken = [name for name in options.campaigns or _CAMPAIGNS if not _holds(name, options, place / name)]
    print(f"chaos broken: {', '.join(broken)}" if broken else "chaos ok")
    return 1 if broken else 0


def _holds(name: str, options: argparse.Namespace, folder: Path) -> bool:
    folder.mkdir(parents=True)
    print(f"chaos {name} seed {options.seed}", flush=True)
    began = time.monotonic()
    verdict = _CAMPAIGNS[name](options, folder=folder, seed=options.seed, say=_silent if options.quiet else _say)
    print(verdict.line())
    print(f"chaos {name} seconds {time.monotonic() - began:.0f}", flush=True)
    for fault in verdict.faults:
        print(f"chaos fault {fault}", flush=True)
    for line in verdict.story if verdict.faults else ():
        print(line, flush=True)
    return not verdict.faults


def _say(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    """Say nothing."""


if __name__ == "__main__":
    sys.exit(main())
