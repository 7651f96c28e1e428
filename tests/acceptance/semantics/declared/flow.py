"""Tasks that publish, replace themselves, or are called back."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group

from tests.acceptance.semantics.catalogue import declare, sibling
from tests.acceptance.semantics.declared.plain import describe
from tests.acceptance.semantics.trail import note

__all__ = ()


@declare()
def errback_id(task_id: str) -> None:
    """An error callback of the old form."""
    note(task_id, "errback_id")


@declare()
def errback_full(request: Any, exc: Any, traceback: Any) -> None:
    """An error callback of the new form."""
    note(request.id, "errback_full", error=type(exc).__name__, text=str(exc))


@declare(bind=True)
def spawn(self: Any, key: str) -> list[str]:
    """Dispatch two jobs from within, and tell their ids."""
    first = sibling(self, "whoami").delay()
    second = sibling(self, "mark").apply_async((key,), add_to_parent=False)
    return [first.id, second.id]


@declare(bind=True)
def tell_family(self: Any, received: Any = None) -> list[dict[str, Any]]:
    """Describe oneself behind what was received, so that a chain tells of all its members."""
    return [*(received or []), describe(self)]


@declare(bind=True)
def replace_plain(self: Any, x: int) -> Any:
    return self.replace(sibling(self, "double").s(x))


@declare(bind=True)
def replace_chain(self: Any, x: int) -> Any:
    return self.replace(chain(sibling(self, "double").s(x), sibling(self, "add").s(1)))


@declare(bind=True)
def replace_group(self: Any, x: int) -> Any:
    return self.replace(group(sibling(self, "double").s(x), sibling(self, "add").s(x, 1)))


@declare(bind=True)
def replace_chord(self: Any, x: int) -> Any:
    header = [sibling(self, "double").s(x), sibling(self, "add").s(x, 1)]
    return self.replace(chord(header, sibling(self, "total").s()))


@declare(bind=True)
def replace_twice(self: Any, x: int) -> Any:
    return self.replace(sibling(self, "replace_plain").s(x))


@declare(bind=True)
def replace_failing(self: Any) -> Any:
    return self.replace(sibling(self, "fail").s("replaced"))


@declare(bind=True)
def replace_self(self: Any, left: int, seen: int = 0) -> Any:
    """Replace oneself with a further step, as long loops of work do."""
    if left == 0:
        return seen
    return self.replace(self.s(left - 1, seen + 1))


@declare(bind=True)
def grow_chord(self: Any, x: int) -> Any:
    """Add a member to the chord that one is part of."""
    self.add_to_chord(sibling(self, "double").s(x * 10))
    return x


@declare(bind=True)
def dispatch_chain(self: Any, x: int) -> str:
    """Dispatch a whole chain from within a job."""
    workflow = chain(sibling(self, "add").s(x, 1), sibling(self, "double").s())
    return str(workflow.apply_async().id)
