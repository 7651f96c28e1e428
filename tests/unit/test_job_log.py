"""What is kept of a job's log lines: bounded, once, and without what is sensitive."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from umbel.engine import job_log
from umbel.engine.execution import current_execution
from umbel.engine.job_log import JobLog, Kept
from umbel.jobs.sensitive import Concealed, SensitiveArguments
from umbel.state.events import Ended, Ends, Lines, pack_ends, unpack_ends


def record(text: str, *args: Any, name: str = "shop", **more: Any) -> logging.LogRecord:
    return logging.LogRecord(name, logging.INFO, "shop.py", 1, text, args, more.pop("exc_info", None), **more)


def texts(kept: Kept) -> list[str]:
    told = kept.told()
    return [] if told is None else [line.text for line in told.lines]


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> JobLog:
    made = JobLog(100, 10_000)
    monkeypatch.setattr(job_log, "_handler", made)
    return made


@pytest.fixture
def execution() -> Any:
    """What stands for the execution of a job that runs here."""
    made = SimpleNamespace(lines=None, closed=False)
    token = current_execution.set(made)  # type: ignore[arg-type]
    yield made
    current_execution.reset(token)


def test_the_first_and_the_last_lines_are_kept() -> None:
    kept = Kept(10, 10_000)
    assert kept.told() is None
    for number in range(25):
        kept.add(record("line %d", number))
    told = kept.told()
    assert told is not None
    assert [line.text for line in told.lines] == [f"line {number}" for number in (*range(5), *range(20, 25))]
    assert (told.head, told.dropped) == (5, 15)
    assert [line.text for line in kept.newest(2)] == ["line 23", "line 24"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_few_are_kept_exactly(most: int) -> None:
    kept = Kept(most, 10_000)
    for number in range(9):
        kept.add(record("line %d", number))
    told = kept.told()
    assert told is not None
    assert len(told.lines) == most
    assert told.dropped == 9 - most
    assert told.lines[0].text == "line 0"


def test_text_is_bounded() -> None:
    kept = Kept(10_000, 10_000)
    for _ in range(1000):
        kept.add(record("x" * 100))
    kept.add(record("y" * 100_000))
    assert sum(map(len, texts(kept))) <= 10_000
    told = kept.told()
    assert told is not None
    assert told.dropped + len(told.lines) == 1001
    assert texts(kept)[-1].endswith("y…")


def test_a_traceback_comes_along_and_odd_texts_can_be_told() -> None:
    kept = Kept(10, 10_000)
    try:
        raise ValueError("\ud800 broken")
    except ValueError as error:
        kept.add(record("it failed", exc_info=(ValueError, error, error.__traceback__)))
    (text,) = texts(kept)
    assert text.startswith("it failed\nTraceback")
    assert "ValueError: ? broken" in text
    told = kept.told()
    ended = Ended("a", "q", 0, "SUCCESS", 1.0, 2.0, 3.0, None, None, told)
    assert unpack_ends(pack_ends("w", None, [ended])) == Ends("w", None, [ended])


def test_what_an_older_version_has_told_is_read() -> None:
    packed = pack_ends("w", None, [Ended("a", "q", 0, "SUCCESS", 1.0, 2.0, 3.0)])
    ends = unpack_ends(packed).ends
    assert ends[0] is not None
    assert ends[0].lines is None


def test_only_what_a_job_says_is_kept_and_once(handler: JobLog, execution: Any) -> None:
    handler.handle(record("said about it", name="celery.app.trace"))
    handler.handle(record("said about it", name="celery.worker.strategy"))
    handler.handle(record("said about it", name="umbel.engine.limits"))
    assert execution.lines is None
    one = record("said by it", name="celery.task.mine")
    handler.handle(one)
    # Passed on to the root, which has the same handler.
    handler.handle(one)
    assert texts(execution.lines) == ["said by it"]


def test_outside_of_jobs_nothing_is_kept(handler: JobLog) -> None:
    handler.handle(record("nobody's"))
    assert handler.here() is None


def test_what_comes_after_a_job_was_given_up_is_dropped(handler: JobLog, execution: Any) -> None:
    execution.closed = True
    handler.handle(record("too late"))
    assert execution.lines is None


def test_a_print_is_kept_without_whose_it_is(handler: JobLog, execution: Any) -> None:
    printed = record("%s%s", "shop.add[1] ", "hello")
    printed.levelname = "PRINT"
    handler.handle(printed)
    assert texts(execution.lines) == ["hello"]


def test_c43_values_of_sensitive_arguments_are_hidden(handler: JobLog, execution: Any) -> None:
    arguments = SensitiveArguments(paths=(("token",), ("card", "number")), positions={"token": 0})

    def body(token: str, card: dict[str, Any]) -> None:
        handler.handle(record("token %s, card %s, pin %s", token, card, card["number"]["pin"]))

    run = arguments.around(SimpleNamespace(validate=None, name="shop.charge"), body)
    run(Concealed("hunter2-secret"), card={"number": Concealed({"pin": 123456, "bank": "ING"}), "name": "Ada"})
    (text,) = texts(execution.lines)
    assert "hunter2" not in text
    assert "123456" not in text
    assert "Ada" in text
    assert "***" in text


def test_a_job_that_says_nothing_tells_nothing(handler: JobLog, execution: Any) -> None:
    job_log.hide("secret")
    assert execution.lines.told() is None
    assert Lines(()).dropped == 0
