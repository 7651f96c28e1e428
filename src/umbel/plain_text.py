"""What others have named or said, as text and nothing else: in logs, mails and terminals. Pure.

Names, ids and messages come from whoever may dispatch a job. In a log a line break would begin a line that we have
never written, and in a terminal a control character would do what it says.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ("block", "one_line")

#: What commands a terminal, begins a line, turns the direction of what follows, or cannot be encoded.
_COMMANDS: Final = "\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_IN_LINES: Final = re.compile(f"[\t\n{_COMMANDS}]+")
#: The usual ones, colours most of all, to their end.
_IN_BLOCKS: Final = re.compile(f"\x1b\\[[0-?]*[ -/]*[@-~]|[{_COMMANDS}]")


def one_line(text: str) -> str:
    """Return ``text`` as one line."""
    return text if text.isprintable() else _IN_LINES.sub(" ", text).strip()


def block(text: str) -> str:
    """Return ``text`` in its lines, without colours."""
    return text if text.isprintable() else _IN_BLOCKS.sub("", text)
