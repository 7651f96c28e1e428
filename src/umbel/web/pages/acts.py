"""What may be done to everything that fits a filter, or was chosen, as pages offer it: with a preview, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from umbel.web.problems import Problem

__all__ = ("JOB_ACTS", "LETTER_ACTS", "NOTHING_CHOSEN", "Act", "act_of")


@dataclass(frozen=True, slots=True)
class Act:
    """One of them. ``name`` is its word in addresses and in the audit log."""

    name: str
    #: On its button.
    label: str
    #: What it does, in a sentence.
    means: str
    #: Whether what it does cannot be taken back.
    is_final: bool = False


def _by_name(*acts: Act) -> Mapping[str, Act]:
    return {act.name: act for act in acts}


JOB_ACTS: Final = _by_name(
    Act("retry", "Retry", "Those that have failed run again, with their ids and their attempts."),
    Act("rerun", "Run again", "For each of them a new job is dispatched, with the same arguments."),
    Act("cancel", "Cancel", "Those that wait never start, those that run are interrupted.", is_final=True),
    Act("delete", "Delete", "Those that have ended are forgotten, with their attempts and results.", is_final=True),
)
LETTER_ACTS: Final = _by_name(
    Act("replay", "Replay", "Their jobs run again, with their ids and their attempts."),
    Act("canary", "Replay with care", "One, then 5 in a hundred, then all, unless too many of them fail again."),
    Act("drop", "Drop", "They are forgotten; their jobs stay in the history.", is_final=True),
)


NOTHING_CHOSEN: Final = "Nothing was chosen, so nothing is done: tick the boxes of those you mean."


def act_of(acts: Mapping[str, Act], name: str) -> Act:
    """Return one. Raises a :exc:`Problem` (422)."""
    if name not in acts:
        raise Problem(422, "unknown-action", f"There is no action {name[:40]!r}: {', '.join(acts)} are there.")
    return acts[name]
