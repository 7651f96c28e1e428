"""Single measurements, for profiling and for trying things: ``python -m benchmarks drain --subject umbel``."""

import argparse
import json
from typing import Any

from benchmarks.bench import Bench
from benchmarks.environments import Missing
from benchmarks.measures.latency import idle_latency
from benchmarks.percentile import percentile
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS, Subject, Variant

__all__ = ["VERBS", "single"]

VERBS = ("drain", "dispatch", "fill", "wait")


def single(bench: Bench, options: argparse.Namespace) -> int:
    """Run one verb on one subject and print what came out as JSON."""
    subject = SUBJECTS[options.subject]
    try:
        outcome = _run(bench, subject, options)
    except (Broken, Missing) as error:
        print(error)
        return 1
    print(json.dumps(outcome, indent=1))
    return 0


def _run(bench: Bench, subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    if options.measure == "drain":
        return bench.drain(subject, _variant(subject, options.variant), options.jobs, options.keep)
    if options.measure == "wait":
        values = idle_latency(bench, subject, _variant(subject, options.variant), options.jobs)
        return {f"p{share * 100:g}_ms": percentile(values, share) for share in (0.5, 0.9, 0.99)}
    return bench.client(subject, options.measure, jobs=options.jobs)


def _variant(subject: Subject, name: str | None) -> Variant:
    names = {variant.name: variant for variant in subject.variants}
    if name is None:
        return subject.variants[0]
    if name not in names:
        raise Broken(f"{subject.name} has no variant {name!r}; it has {', '.join(names)}")
    return names[name]
