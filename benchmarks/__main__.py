"""``python -m benchmarks``: the whole benchmark, some of its measures, or one measurement of one subject."""

import argparse
import compileall
import os
import signal
import sys
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.machine import machine
from benchmarks.measures import MEASURES
from benchmarks.plan import FULL, QUICK, TINY
from benchmarks.publish import publish
from benchmarks.report import keep, table, versions
from benchmarks.single import VERBS, single
from benchmarks.subjects import SUBJECTS

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 unless something broke; a figure below *first* is printed as ``short`` and is no failure."""
    options = _parser().parse_args(arguments)
    # So that workers are stopped and directories removed when the run is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # As pip does for the peers, also where Python writes no bytecode.
    compileall.compile_dir(Path(__file__).resolve().parent.parent / "src", quiet=2)
    bench = Bench(TINY if options.tiny else QUICK if options.quick else FULL)
    if options.measure == "report":
        return _publish(options.file)
    if options.measure in VERBS:
        return single(bench, options)
    return _run(bench, [options.measure] if options.measure else list(MEASURES))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    choices = [*MEASURES, *VERBS, "report"]
    parser.add_argument(
        "measure", nargs="?", choices=choices, help="one measure, or one verb on one subject; all when left out"
    )
    parser.add_argument("file", nargs="?", type=Path, help="with report: the raw file to publish")
    quick = os.environ.get("QUICK", "") not in ("", "0")
    parser.add_argument(
        "--quick", action="store_true", default=quick, help="fewer jobs, fifteen minutes (also QUICK=1)"
    )
    parser.add_argument("--tiny", action="store_true", help="a handful of jobs, to see that everything runs")
    one = parser.add_argument_group("with " + ", ".join(VERBS))
    one.add_argument("--subject", choices=sorted(SUBJECTS), default="umbel")
    one.add_argument("--variant", help="how to run its worker, such as '4 threads'")
    one.add_argument("--jobs", type=int, default=10_000)
    one.add_argument("--keep", action="store_true", help="keep the directory with store and logs")
    return parser


def _publish(raw: Path | None) -> int:
    if raw is None:
        print("report wants a raw file: python -m benchmarks report benchmarks/results/….json", file=sys.stderr)
        return 2
    for path in publish(raw, Path(__file__).resolve().parent.parent):
        print(f"wrote {path}")
    return 0


def _run(bench: Bench, measures: list[str]) -> int:
    begun = time.monotonic()
    facts = {"machine": machine(), "versions": versions(bench)}
    if bench.plan is QUICK:
        print(f"QUICK: {bench.plan.many:,} jobs stand for the million, and every measure has fewer jobs", flush=True)
    for name in measures:
        MEASURES[name](bench)
    path = keep(bench, facts | {"seconds": time.monotonic() - begun})
    print(table(bench))
    print(f"raw figures: {path}  ({(time.monotonic() - begun) / 60:.1f} minutes)")
    return 1 if bench.broken else 0


if __name__ == "__main__":
    sys.exit(main())
