"""``make chaos``: the long campaign. Exit code 1 when the contract was broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.campaign import Campaign
from tests.chaos.workload import Workload

__all__ = ("main",)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--pool", default="default", choices=("default", "prefork"))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="keep everything here, for a look afterwards")
    parser.add_argument("--quiet", action="store_true", help="only the figures")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True)
        return _run(options, options.folder)
    with tempfile.TemporaryDirectory(prefix="umbel-chaos-") as folder:
        return _run(options, Path(folder))


def _run(options: argparse.Namespace, folder: Path) -> int:
    campaign = Campaign(
        folder=folder,
        workload=Workload(options.jobs),
        kills=options.kills,
        quarantine=options.kills // 8,
        everything=max(1, options.kills // 25),
        processes=options.processes,
        pool=options.pool,
        seed=options.seed,
        say=(lambda _: None) if options.quiet else print,
    )
    print(f"chaos seed {options.seed}", flush=True)
    began = time.monotonic()
    verdict = campaign.run()
    print(verdict.line())
    print(f"chaos seconds {time.monotonic() - began:.0f}")
    for fault in verdict.faults:
        print(f"chaos fault {fault}")
    print("chaos ok" if not verdict.faults else "chaos broken")
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
