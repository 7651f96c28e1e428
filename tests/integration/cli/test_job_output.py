"""What a job prints stands on the worker's console as whole lines, each with its job."""

from __future__ import annotations

import gc
import io
import logging
from types import SimpleNamespace

import pytest

from umbel.engine import job_output
from umbel.engine.job_output import JobOutput


class Request:
    def __init__(self, number: str) -> None:
        self.id = number


class Printing:
    """An output, the lines it has logged, and which job is running."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, level: int = logging.WARNING) -> None:
        self.lines: list[str] = []
        self.stream = io.StringIO()
        self.task: object = None
        logger = logging.Logger("printed", logging.INFO)
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(f"{record.levelname} {record.getMessage()}")  # type: ignore[method-assign]
        logger.addHandler(handler)
        self.logger = logger
        self.output = JobOutput(logger, level, self.stream)
        monkeypatch.setattr(job_output, "get_current_task", lambda: self.task)

    def enter(self, number: str) -> None:
        self.task = SimpleNamespace(name="shop.mail", request=Request(number))


@pytest.fixture
def printing(monkeypatch: pytest.MonkeyPatch) -> Printing:
    return Printing(monkeypatch)


def test_pieces_become_whole_lines_of_their_job(printing: Printing) -> None:
    printing.enter("a")
    print("sent", 3, "mails", file=printing.output)
    print("one\ntwo\n\n", file=printing.output)
    assert printing.lines == ["PRINT shop.mail[a] sent 3 mails", "PRINT shop.mail[a] one", "PRINT shop.mail[a] two"]


def test_jobs_that_take_turns_do_not_mix(printing: Printing) -> None:
    tasks = [SimpleNamespace(name="shop.mail", request=Request(name)) for name in "ab"]
    for piece in ("be", "gin", "\n"):
        for printing.task in tasks:
            printing.output.write(piece)
    assert printing.lines == ["PRINT shop.mail[a] begin", "PRINT shop.mail[b] begin"]


def test_a_line_without_an_end_comes_when_the_job_has_gone(printing: Printing) -> None:
    printing.enter("a")
    print("half", end="", file=printing.output, flush=True)
    assert printing.lines == []
    printing.task = None
    gc.collect()
    assert printing.lines == ["PRINT shop.mail[a] half"]


def test_outside_of_jobs_there_is_no_label_and_flush_is_obeyed(printing: Printing) -> None:
    print("starting", end="", file=printing.output, flush=True)
    print(" up", file=printing.output)
    assert printing.lines == ["PRINT starting", "PRINT  up"]


def test_an_endless_line_is_cut(printing: Printing) -> None:
    printing.enter("a")
    for _ in range(30):
        printing.output.write("x" * 1000)
    assert len(printing.lines) == 3


def test_the_log_level_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = Printing(monkeypatch, logging.DEBUG)
    print("nothing", file=quiet.output)
    assert quiet.lines == []


def test_a_handler_that_prints_does_not_log_for_ever(printing: Printing) -> None:
    loud = logging.Handler()
    loud.emit = lambda record: print("broken pipe", file=printing.output)  # type: ignore[method-assign]
    printing.logger.addHandler(loud)
    print("hello", file=printing.output)
    assert printing.lines == ["PRINT hello"]
    assert printing.stream.getvalue() == "broken pipe\n"


def test_text_with_percent_signs_is_text(printing: Printing) -> None:
    print("100 %s %d", file=printing.output)
    assert printing.lines == ["PRINT 100 %s %d"]
