"""The atomic primitives that promises stand on: against plain models of themselves, and in races."""
