"""``python -m tests.long``: the long campaigns, one after the other, or those named. Exit code 1 when one is broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.long.crowd import crowd
from tests.long.job import job

__all__ = ("main",)


def _job(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Any]]:
    return job(folder, seconds=options.minutes * 60.0)


def _crowd(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Any]]:
    return crowd(folder, jobs=options.jobs)


_CAMPAIGNS: Final[dict[str, Callable[..., Iterator[tuple[str, Any]]]]] = {"job": _job, "crowd": _crowd}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.long", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=f"of {', '.join(_CAMPAIGNS)} (default: all)")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the job of 'job' takes")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="how many wait in 'crowd'")
    options = parser.parse_args()
    unknown = set(options.campaigns) - _CAMPAIGNS.keys()
    if unknown:
        parser.error(f"there is no campaign {', '.join(sorted(unknown))}: say {', '.join(_CAMPAIGNS)}")
    broken = [name for name in options.campaigns or _CAMPAIGNS if not _holds(name, options)]
    print(f"long broken: {', '.join(broken)}" if broken else "long ok")
    return 1 if broken else 0


def _holds(name: str, options: argparse.Namespace) -> bool:
    """Run one campaign and print its figures; those called ``fault …`` are what it is broken by."""
    began, sound = time.monotonic(), True
    with tempfile.TemporaryDirectory(prefix="umbel-long-") as folder:
        for figure, value in _CAMPAIGNS[name](options, Path(folder)):
            print(f"long {name} {figure} {value}", flush=True)
            sound = sound and not figure.startswith("fault")
    print(f"long {name} seconds {time.monotonic() - began:.0f}", flush=True)
    return sound


if __name__ == "__main__":
    sys.exit(main())
