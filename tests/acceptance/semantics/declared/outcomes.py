"""Tasks that end in every way a task can end."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from typing import Any

from celery.exceptions import Ignore, Reject

from tests.acceptance.semantics.catalogue import coroutine_of, declare
from tests.acceptance.semantics.faults import Expected, Multi, Stubborn
from tests.acceptance.semantics.trail import note, pass_gate, pass_gate_async, read

__all__ = ()

_ODD: dict[str, Any] = {
    "none": None,
    "text": "Ümläut \u2603 \x00 \U0001f33f",
    "nested": {"a": [1, 2.5, {"b": None}], "c": True},
    "tuple": (1, (2, 3)),
    "number": 2**80,
    "datetime": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC),
    "date": datetime.date(2024, 2, 29),
    "uuid": uuid.UUID(int=7),
    "decimal": decimal.Decimal("1.10"),
    "bytes": b"\xff\x00raw",
    "inf": math.inf,
}


@declare()
def give(kind: str) -> Any:
    return _ODD[kind]


@declare()
def give_nan() -> float:
    return math.nan


@declare()
def give_unencodable() -> Any:
    return object()


@declare()
def fail(message: str = "broken") -> None:
    raise ValueError(message)


@declare()
def fail_if(value: Any, bad: Any) -> Any:
    if value == bad:
        raise ValueError(f"did not like {value!r}")
    return value


@declare()
def fail_multi() -> None:
    raise Multi(7, "seven")


@declare()
def fail_stubborn() -> None:
    raise Stubborn


@declare()
def fail_chained() -> None:
    try:
        raise KeyError("cause")
    except KeyError as error:
        raise RuntimeError("effect") from error


@declare(throws=(Expected,))
def fail_expected() -> None:
    raise Expected("as announced")


@declare(bind=True)
def custom_state(self: Any, key: str) -> str:
    self.update_state(state="CROPPING", meta={"done": 3, "of": 5})
    note(key, "updated")
    pass_gate(key)
    return "cropped"


@coroutine_of("custom_state")
async def custom_state_async(self: Any, key: str) -> str:
    self.update_state(state="CROPPING", meta={"done": 3, "of": 5})
    note(key, "updated")
    await pass_gate_async(key)
    return "cropped"


@declare(bind=True)
def many_states(self: Any, times: int) -> int:
    for number in range(times):
        self.update_state(state="PROGRESS", meta={"done": number})
    return times


@declare(bind=True)
def final_state_then_fail(self: Any) -> None:
    self.update_state(state="SUCCESS", meta="a lie")
    raise ValueError("the truth")


@declare(bind=True)
def reject(self: Any, key: str) -> None:
    note(key, "ran")
    raise Reject("no", requeue=False)


@declare(bind=True)
def reject_once(self: Any, key: str) -> str:
    note(key, "ran", redelivered=self.request.delivery_info["redelivered"])
    if len([entry for entry in read(key) if entry["what"] == "ran"]) == 1:
        raise Reject("later", requeue=True)
    return "second time"


@declare(bind=True)
def ignore(self: Any, key: str) -> None:
    note(key, "ran")
    raise Ignore


@declare(bind=True)
def ignore_with_state(self: Any, key: str) -> None:
    self.update_state(state="SKIPPED", meta={"why": "not needed"})
    note(key, "ran")
    raise Ignore
