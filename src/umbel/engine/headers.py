"""Names of headers, and of what is kept, that more than one part of the engine knows."""

from __future__ import annotations

from typing import Final

__all__ = ("CALLBACK", "COUNTED", "FIRST", "PROGRESS", "REPLAY", "TAGS", "WEBHOOK")

#: Whose replay a message is: the number of the replay and the key of the letter.
REPLAY: Final = "umbel_replay"
#: Where the end of this one job is told.
WEBHOOK: Final = "umbel_webhook"
#: Words by which a job is found: a list of texts.
TAGS: Final = "umbel_tags"
#: How far an earlier try has been: done, total, message.
PROGRESS: Final = "umbel_progress"
#: When the job was first dispatched, or due if that was later, in unix seconds; a try after the first has it.
FIRST: Final = "umbel_first"
#: What a job carries of its earlier tries, which begin anew with a replay.
COUNTED: Final = (FIRST, "umbel_put_off", PROGRESS)
#: Beside a chord's id: its callback, which is kept until it is sent. The scripts name it themselves.
CALLBACK: Final = ":callback"
