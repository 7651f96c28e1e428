"""Moving jobs from one store to another, with nothing lost or doubled however often it is interrupted.

A crate of messages is packed at the source in one step, where nobody fetches from it any more; the target admits it
whole, in one step, and remembers its token; then the source discards it. Whoever was interrupted finds the packed crate
and sends it again, and a target that knows its token admits it no second time.

Batches go first and are held on both sides, so that no callback is queued, and no member missed, while half of a batch
is here and half of it there; when nothing waits at the source, and nobody works there, the target lets them go.

Costs some steps a crate: a million jobs are two thousand crates.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from umbel.engine.batches import BATCH
from umbel.engine.envelope import headers_of
from umbel.engine.moving import Belongings, Crate, Moving
from umbel.engine.store import Engine
from umbel.errors import MoveRefused

__all__ = ("check", "move", "refuse_running")

#: Messages in a crate: a script of that many holds a Redis for some milliseconds.
_CRATE: Final = 500


def move(source: Engine, target: Engine, *, label: str, limit: int = _CRATE) -> Iterator[Crate]:
    """Move all that waits in ``source`` to ``target``, and give each crate when it has arrived.

    Interrupted anywhere, by whatever, it is completed by calling it again. Raises :exc:`MoveRefused` when both are one
    store, or when an earlier move to another target has not been completed.
    """
    here, there = source.moving, target.moving
    name = check(source, target)
    refuse_running(source)
    for queue in source.queues():
        if queue.paused:
            target.pause(queue.name)
    # Before the messages: a member that ends over there is to find the parts that others have left.
    for belongings in chain(here.chords(), here.effects()):
        there.keep(belongings)
    while crate := here.pack(limit, name, label):
        _refuse_other(crate, name)
        _bring(crate, here, there)
        here.discard(crate.token)
        yield crate
    for belongings in chain(here.belongings(), here.effects()):
        there.keep(belongings)
    _hand_over(source, there)


def _bring(crate: Crate, here: Moving, there: Moving) -> None:
    if crate.batches:
        # Held there until all has come; without it nobody's end would be counted.
        there.admit(crate)
        for members in here.members(dict.fromkeys(one.tally.id for one in crate.batches)):
            there.keep(members)
        return
    ids = [one.task_id for one in crate.parcels if one.task_id] + [one.task_id for one in crate.letters if one.task_id]
    for belongings in chain(here.chords(_groups(crate)), here.members(_members(crate)), here.checkpoints(ids)):
        there.keep(belongings)
    there.admit(crate)


def _hand_over(source: Engine, there: Moving) -> None:
    """Let batches go on at the target, once nothing of them can happen here any more."""
    here = source.moving
    while held := here.held():
        if source.workers() or any(q.ready or q.delayed or q.suspect or q.leased for q in source.queues()):
            return
        for members in here.members(dict.fromkeys(one.id for one in held)):
            there.keep(members)
        there.keep(Belongings(batches=tuple(held)))
        here.part(held)


def check(source: Engine, target: Engine) -> str:
    """Return the target's identity. Raises :exc:`MoveRefused` when ``source`` cannot be moved there now."""
    name = target.moving.identity()
    if source.moving.identity() == name:
        raise MoveRefused("The source and the target are one and the same store: name two, by --from and --to.")
    crate = source.moving.packed()
    if crate is not None:
        _refuse_other(crate, name)
    for held in source.moving.held():
        if held.target != name:
            raise MoveRefused(
                f"A move to {held.label} was interrupted, with batches on their way: run it again first; if the other "
                "store has gone for good, --recall lets them go on here."
            )
    return name


def refuse_running(source: Engine) -> None:
    """Raise :exc:`MoveRefused` while somebody causes an effect at ``source``: only its end says whether it is there."""
    running = source.moving.running()
    if running:
        one = running[0]
        raise MoveRefused(
            f"{len(running)} effects are being caused in the source, {one.name} by job {one.owner}: wait for their "
            f"ends, or stop who causes them and wait {one.seconds:.0f} s for the lease to end. Nothing was moved."
        )


def _refuse_other(crate: Crate, name: str) -> None:
    if crate.target != name:
        raise MoveRefused(
            f"A move to {crate.label} was interrupted, with {crate.contents} on their way: run it again with "
            "that target first; if that store has gone for good, --recall puts them back into their queues."
        )


def _members(crate: Crate) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for parcel in crate.parcels:
        batch = headers_of(parcel.payload).get(BATCH) if BATCH in parcel.payload else None
        if isinstance(batch, str) and parcel.task_id:
            found.setdefault(batch, []).append(parcel.task_id)
    return found


def _groups(crate: Crate) -> list[str]:
    found = (headers_of(parcel.payload).get("group") for parcel in crate.parcels if '"group"' in parcel.payload)
    return sorted({group for group in found if isinstance(group, str)})
