"""The tasks of the table; importing this package declares them all."""

from tests.acceptance.semantics.declared import (
    coroutines,
    flow,
    hooked,
    limited,
    outcomes,
    plain,
    promised,
    retrying,
    shared,
)

__all__ = ("coroutines", "flow", "hooked", "limited", "outcomes", "plain", "promised", "retrying", "shared")
