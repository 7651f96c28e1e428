"""The tree of errors is the one in its docstring, and each message says what to do."""

from __future__ import annotations

import inspect
import re

import pytest

from umbel import errors

TREE = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.UmbelError)]


def documented() -> dict[str, str]:
    """Return the parent of each error, as the module's docstring draws it."""
    parents: dict[str, str] = {}
    last = "UmbelError"
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    (│   )?(├──|└──|    (?:├──|└──)) (\w+)", line)
        if found is None:
            continue
        name = found[3]
        nested = found[1] is not None or line.startswith("        ")
        parents[name] = last if nested else "UmbelError"
        if not nested:
            last = name
    return parents


def test_the_tree_is_the_documented_one() -> None:
    found = {cls.__name__: cls.__mro__[1].__name__ for cls in TREE if cls is not errors.UmbelError}
    assert documented() == found


def test_every_error_is_offered() -> None:
    assert set(errors.__all__) == {cls.__name__ for cls in TREE}


EXAMPLES = [
    errors.InvalidArguments("shop.a", "it takes no b"),
    errors.PayloadTooLarge("shop.a", 300_000, 262_144),
    errors.DispatchTimeout("shop.a", "id", 2.0),
    errors.StoreCorrupt("/x/jobs.db", "malformed"),
    errors.StoreDenied("redis://x", "NOAUTH"),
    errors.StoreForeign("/x/jobs.db", "not ours"),
    errors.StoreFull("/x/jobs.db"),
    errors.StoreReadOnly("/x/jobs.db", "denied"),
    errors.StoreTooNew("/x/jobs.db", 9, 1),
    errors.JobNotFound("id"),
    errors.JobFinished("id", "succeeded"),
    errors.BreakerOpen.of("shop:card", 3.0),
    errors.LockTaken.of("shop:card", 3.0),
    errors.LimitReached.of("card", 3.0),
    errors.EffectRunning.of("shop:card", 3.0),
    errors.EffectUncertain.of("shop:card"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_a_message_is_one_line_with_what_to_do(error: errors.UmbelError) -> None:
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) > 30


@pytest.mark.parametrize("error", EXAMPLES[-5:], ids=lambda error: type(error).__name__)
def test_what_a_job_ends_with_can_be_made_again_from_its_result(error: errors.UmbelError) -> None:
    again = type(error)(*error.args)
    assert str(again) == str(error)
