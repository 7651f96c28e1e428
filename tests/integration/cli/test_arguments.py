"""Arguments, durations and queue lists as a person types them."""

from __future__ import annotations

import click
import pytest

from umbel.cli.arguments import JobCommand, keywords, values
from umbel.cli.duration import DURATION
from umbel.cli.queues_option import QUEUES


def test_values_are_json_or_the_string_they_are() -> None:
    texts = ("3", "-1.5", "true", "null", "[1, 2]", '{"a": 1}', '"5"', "Ann", "2024-01-31", "007", "NaN", "", "{oops")
    assert values(texts) == (
        3, -1.5, True, None, [1, 2], {"a": 1}, "5", "Ann", "2024-01-31", "007", "NaN", "", "{oops"
    )  # fmt: skip
    assert values(("[" * 100_000,)) == ("[" * 100_000,)


def test_keywords_are_pairs() -> None:
    assert keywords(("x=1", "text=a=b", "empty=")) == {"x": 1, "text": "a=b", "empty": ""}
    for wrong in ("x", "=1", "a-b=1"):
        with pytest.raises(click.BadParameter, match="is not name=value"):
            keywords((wrong,))


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (["add", "-1", "2"], ("add", ("-1", "2"))),
        (["add", "-.5", "-1e3"], ("add", ("-.5", "-1e3"))),
        (["add", "--", "--odd", "-x"], ("add", ("--odd", "-x"))),
        (["add", "--count", "3", "-2"], ("add", ("-2",))),
    ],
)
def test_negative_numbers_are_arguments(arguments: list[str], seen: tuple[str, tuple[str, ...]]) -> None:
    assert _parse(arguments) == seen


@pytest.mark.parametrize("wrong", ["--cuont", "--cuont=3", "-z"])
def test_an_unknown_option_is_no_argument(wrong: str) -> None:
    with pytest.raises(click.NoSuchOption):
        _parse(["add", wrong, "3"])


def _parse(arguments: list[str]) -> object:
    @click.command(cls=JobCommand)
    @click.argument("task")
    @click.argument("args", nargs=-1)
    @click.option("--count")
    def command(task: str, args: tuple[str, ...], count: str | None) -> object:
        return task, args

    return command.main(arguments, standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0", 0), ("1.5s", 1.5), ("10m", 600), ("2 h", 7200), ("1d", 86_400), ("1h30m", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "-1", "ten", "5w", "1e9d", "9999999999d", "nan", "10mm"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize("text", ["high,default", "high:4,default:1", "mail"])
def test_queue_lists_c9(text: str) -> None:
    assert QUEUES.convert(text, None, None) == text
    assert QUEUES.convert(text.replace(",", " , "), None, None) == text


@pytest.mark.parametrize("text", ["", ",", "a:0", "a:x", "a:1,b", ":3", "a b", "a,a", "a:-1"])
def test_what_is_no_queue_list_c9(text: str) -> None:
    with pytest.raises(click.BadParameter):
        QUEUES.convert(text, None, None)
