"""Tasks that declare what only Umbel has."""

from __future__ import annotations

from typing import Any

from tests.acceptance.semantics.catalogue import only_umbel
from tests.acceptance.semantics.faults import Chosen
from tests.acceptance.semantics.trail import note
from umbel import Cancel, Retry, Snooze

__all__ = ()


@only_umbel(bind=True, retry=Retry(2, on=Chosen, backoff="50ms"))
def tried(self: Any, key: str, fails: int) -> str:
    note(key, "try", retries=self.request.retries)
    if self.request.retries < fails:
        raise Chosen("again")
    return "done"


@only_umbel(bind=True)
def put_off(self: Any, key: str, times: int) -> str | Snooze:
    note(key, "try", retries=self.request.retries)
    done = (self.request.headers or {}).get("umbel_put_off", 0)
    return Snooze("50ms") if done < times else "done"


@only_umbel()
def cancel_itself(key: str) -> Cancel:
    note(key, "try")
    return Cancel("withdrawn")
