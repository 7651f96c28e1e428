"""The few atomic primitives that the promises of :mod:`umbel.jobs` stand on: one contract, every store."""
