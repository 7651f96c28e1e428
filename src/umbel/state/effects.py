"""Effects by key: who causes one now, which are there and with what result, and of which nobody knows (C32).

An effect is *claimed*, then *begun*, then *done*, or it is released because it was not done. What was begun and not
ended, by a process that is gone, is *uncertain*: it may be there or not, and stays so until somebody who knows says it.
A claim is a lease by the store's clock. Costs: one round trip to claim and begin any number, one to end them, and one
for all of a process's claims to renew them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

__all__ = ("Answer", "Bid", "Claimant", "Doubtful", "Effects", "Ending", "Row", "Standing", "Uncertain", "judge")

#: What a claim does with an effect of which nobody knows: leave it, take it to find out, or cause it again.
Doubtful = Literal["leave", "take", "repeat"]
#: What a claimant says: it may be there from now on, it is there, it is not, or nobody knows.
Said = Literal["begin", "complete", "release", "doubt"]


class Standing(StrEnum):
    """What a claimant is told."""

    #: Cause it.
    MINE = "mine"
    RUNNING = "running"
    DONE = "done"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: ``owner`` is a job, ``run`` one execution of it, ``token`` this very claim.

    What an owner had begun in another run was interrupted: nobody waits for a lease to end to know that.
    """

    owner: str
    run: str
    token: str


@dataclass(frozen=True, slots=True)
class Bid:
    """One claim of :meth:`Effects.claim_many`."""

    name: str
    who: Claimant
    seconds: float
    begun: bool = True
    doubtful: Doubtful = "leave"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a claimant says of one effect; with ``complete``: its result, and for how many seconds it is kept."""

    name: str
    token: str
    said: Said
    result: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a :class:`Bid`.

    ``seconds``: for how long another one's claim lasts. ``held``: the claim is ours; of one that is uncertain, to find
    out. ``result``: what :meth:`Effects.complete` was given.
    """

    standing: Standing
    seconds: float = 0.0
    held: bool = False
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Uncertain:
    """An effect of which nobody knows whether it is there. ``since`` is in unix seconds."""

    name: str
    owner: str
    since: float


class Effects(Protocol):
    """The effects of one store."""

    def claim(
        self, name: str, who: Claimant, seconds: float, *, begun: bool = True, doubtful: Doubtful = "leave"
    ) -> Answer:
        """Claim an effect for ``seconds``; asked again with the same token, the answer is the same."""
        return self.claim_many([Bid(name, who, seconds, begun, doubtful)])[0]

    def claim_many(self, bids: Sequence[Bid]) -> list[Answer]:
        """Answer each of ``bids`` as :meth:`claim` does, in one step; those of one name in their order."""
        raise NotImplementedError

    def begin(self, name: str, token: str) -> bool:
        """Note that from now on the effect may be there; False if the claim was lost."""
        return self.end_many([Ending(name, token, "begin")])[0]

    def renew(self, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
        """Let claims, given as (name, token), last for another ``seconds``; False for one that was lost."""

    def complete(self, name: str, token: str, result: str, seconds: float) -> bool:
        """Note that the effect is there, and keep its result for ``seconds``; False if another one has claimed it.

        Who was taken for dead and was not knows better than whoever called it uncertain.
        """
        return self.end_many([Ending(name, token, "complete", result, seconds)])[0]

    def release(self, name: str, token: str) -> bool:
        """Note that the effect is not there: whoever comes next may cause it. False if the claim was lost."""
        return self.end_many([Ending(name, token, "release")])[0]

    def doubt(self, name: str, token: str) -> bool:
        """Note that nobody knows; False if the claim was lost."""
        return self.end_many([Ending(name, token, "doubt")])[0]

    def end_many(self, endings: Sequence[Ending]) -> list[bool]:
        """Note what is said of each effect, in one step; False for those whose claim was lost."""
        raise NotImplementedError

    def uncertain(self, limit: int = 100) -> list[Uncertain]:
        """Return the effects of which nobody knows, the oldest first."""

    def resolve(self, name: str, result: str | None, seconds: float) -> bool:
        """Say of an uncertain effect that it is there, or with None that it is not; False if it is not uncertain."""


@dataclass(frozen=True, slots=True)
class Row:
    """An effect as a store keeps it.

    ``ends``, in seconds from now: of a lease, or of how long a result is kept; since when it is uncertain.
    """

    state: str
    owner: str
    run: str
    token: str
    ends: float
    result: str | None


def judge(row: Row | None, who: Claimant, *, begun: bool, doubtful: Doubtful) -> tuple[Answer, str | None]:
    """Return the answer to a claim, and the state in which the effect is the claimant's from now on.

    None for one that is left as it is, ``"uncertain"`` for one that only becomes that.
    """
    if row is None or (row.state in ("claimed", "done") and row.ends <= 0):
        return _mine(begun=begun)
    if row.state == "done":
        return Answer(Standing.DONE, result=row.result), None
    if row.token == who.token and row.state != "uncertain":
        return Answer(Standing.UNCERTAIN if row.state == "asked" else Standing.MINE, held=True), None
    again = row.owner == who.owner and row.run != who.run
    if row.state == "claimed" and again:
        return _mine(begun=begun)
    if row.state != "uncertain" and row.ends > 0 and not again:
        return Answer(Standing.RUNNING, seconds=row.ends), None
    if doubtful == "leave":
        return Answer(Standing.UNCERTAIN), None if row.state == "uncertain" else "uncertain"
    if doubtful == "take":
        return Answer(Standing.UNCERTAIN, held=True), "asked"
    return _mine(begun=True)


def _mine(*, begun: bool) -> tuple[Answer, str]:
    return Answer(Standing.MINE, held=True), "begun" if begun else "claimed"
