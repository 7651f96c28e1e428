"""Umbel beside its peers: ``python -m benchmarks`` (or ``make bench``); see docs/operate/benchmarks.md."""

__all__: list[str] = []
