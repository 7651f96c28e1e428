"""Moving jobs from one store to another, with nothing lost or doubled however often it is interrupted.

A crate of messages is packed at the source in one step, where nobody fetches from it any more; the target admits it
whole, in one step, and remembers its token; then the source discards it. Whoever was interrupted finds the packed crate
and sends it again, and a target that knows its token admits it no second time.

Costs three steps a crate: a million jobs are two thousand crates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from umbel.engine.envelope import headers_of
from umbel.engine.moving import Crate
from umbel.engine.store import Engine
from umbel.errors import MoveRefused

__all__ = ("check", "move")

#: Messages in a crate: a script of that many holds a Redis for some milliseconds.
_CRATE: Final = 500


def move(source: Engine, target: Engine, *, label: str, limit: int = _CRATE) -> Iterator[Crate]:
    """Move all that waits in ``source`` to ``target``, and give each crate when it has arrived.

    Interrupted anywhere, by whatever, it is completed by calling it again. Raises :exc:`MoveRefused` when both are one
    store, or when an earlier move to another target has not been completed.
    """
    here, there = source.moving, target.moving
    name = check(source, target)
    for queue in source.queues():
        if queue.paused:
            target.pause(queue.name)
    # Before the messages: a member that ends over there is to find the parts that others have left.
    for chords in here.chords():
        there.keep(chords)
    while crate := here.pack(limit, name, label):
        _refuse_other(crate, name)
        for chords in here.chords(_groups(crate)):
            there.keep(chords)
        there.admit(crate)
        here.discard(crate.token)
        yield crate
    for belongings in here.belongings():
        there.keep(belongings)


def check(source: Engine, target: Engine) -> str:
    """Return the target's identity. Raises :exc:`MoveRefused` when ``source`` cannot be moved there now."""
    name = target.moving.identity()
    if source.moving.identity() == name:
        raise MoveRefused("The source and the target are one and the same store: name two, by --from and --to.")
    crate = source.moving.packed()
    if crate is not None:
        _refuse_other(crate, name)
    return name


def _refuse_other(crate: Crate, name: str) -> None:
    if crate.target != name:
        raise MoveRefused(
            f"A move to {crate.label} was interrupted, with {len(crate.parcels)} jobs on their way: run it again with "
            "that target first; if that store has gone for good, --recall puts them back into their queues."
        )


def _groups(crate: Crate) -> list[str]:
    found = (headers_of(parcel.payload).get("group") for parcel in crate.parcels if '"group"' in parcel.payload)
    return sorted({group for group in found if isinstance(group, str)})
