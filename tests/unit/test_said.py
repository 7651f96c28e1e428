"""What others have named is text wherever it is said: one line, and nothing that a terminal or a log would obey."""

from __future__ import annotations

import logging

import pytest

from umbel.cli.console import print_table, say
from umbel.engine.log_lines import TextLines
from umbel.monitor.actors import Actor, Role
from umbel.plain_text import one_line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mail", "mail"),
        ("  zwei Wörter", "  zwei Wörter"),
        ("a\r\n2026-01-01 ERROR forged", "a 2026-01-01 ERROR forged"),
        ("\x1b]0;title\x07\x9b31mred", "]0;title 31mred"),
        ("invoice\u202efdp.exe", "invoice fdp.exe"),
        ("half \ud800 \u2028 nul\0", "half   nul"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
    ],
)
def test_a_name_is_one_line_of_text(text: str, said: str) -> None:
    assert " ".join(one_line(text).split()) == " ".join(said.split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n  of lines", "plain\ttext\n  of lines"),
        ("\x1b[1;31mred\x1b[0m and \x1b]52;c;cm0=\x07gone", "red and ]52;c;cm0=gone"),
        ("50%\r100%\n\u202eabc", "50%100%\nabc"),
    ],
)
def test_what_a_job_has_said_commands_no_terminal(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    assert capsys.readouterr().out == shown + "\n"


def test_a_name_begins_no_line_of_the_log() -> None:
    record = logging.makeLogRecord(
        {"levelname": "INFO", "msg": "Task a[%s] received", "args": ("7\r\n2026 ERROR \x1b[2J",)}
    )
    assert TextLines("%(levelname)s %(message)s").format(record) == "INFO Task a[7\n  2026 ERROR ] received"


def test_a_traceback_of_the_log_commands_no_terminal() -> None:
    try:
        raise ValueError("\x1b[31mred\x07")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "it failed", "exc_info": (ValueError, error, None)})
    assert TextLines("%(message)s").format(record) == "it failed\nValueError: red"


def test_a_name_makes_no_row_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Queues", ("queue", "waiting"), [("mail\n  forged\x1b[2J", 5)])
    assert capsys.readouterr().out.splitlines()[2] == "  mail   forged [2J        5"


def test_c44_who_signs_in_commands_no_terminal() -> None:
    assert Actor("ann\x1b[2J\nroot", Role.VIEWER, "token").name == "ann [2J root"
