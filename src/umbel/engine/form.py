"""A JSON text that is written once with some places left open, and filled in many times.

Most of a task's envelopes differ in its id, its arguments and little else, and joining text is quicker than encoding
all of it again. The form is made from an envelope as it is encoded otherwise, with marks in those places, so that what
an envelope consists of is said in one place only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import msgspec

__all__ = ("Form", "mark")

_encode: Final = msgspec.json.Encoder().encode


def mark(name: str) -> str:
    """Return a value that stands for an open place; no other value contains it."""
    return f"\0{name}\0"


class Form:
    """``text`` with an open place wherever the encoded mark of one of ``names`` stands."""

    __slots__ = ("_pick", "_text")

    def __init__(self, text: str, names: Sequence[str]) -> None:
        marks = {_encode(mark(name)).decode(): at for at, name in enumerate(names)}
        pieces = re.split(f"({'|'.join(map(re.escape, marks))})", text)
        self._text: Final = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
        #: Which value stands in each place.
        order = [marks[piece] for piece in pieces[1::2]]
        self._pick: Final = itemgetter(*order) if len(order) > 1 else lambda values: tuple(values[at] for at in order)

    def fill(self, values: Sequence[str]) -> str:
        """Return the text with the JSON texts ``values`` in its places, in the order of the names."""
        filled: str = self._text % self._pick(values)
        return filled
