"""What an address and a cookie of a page can hold."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from umbel.web.pages.query import Query
from umbel.web.problems import Problem
from umbel.web.render import _encoded


@pytest.mark.parametrize("value", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "1e308", "nan", "-1", "11y"])
def test_a_time_that_is_none_is_refused(value: str) -> None:
    query = Query.of([("since", value)], ("since",))
    with pytest.raises(Problem, match="since is a length of time"):
        query.moment("since")


@pytest.mark.parametrize("value", ["0001-01-01", "9999-12-31T23:59", "3650d", "1969-12-31T00:00+00:00"])
def test_a_time_at_the_end_of_the_calendar_can_be_fixed(value: str) -> None:
    query = Query.of([("since", value)], ("since",))
    assert query.fixed("since").moment("since") == pytest.approx(query.moment("since"), abs=60)


@pytest.mark.parametrize("letter", ["a", "é", "€", "\U0001f600", "%", "\ud800"])
def test_what_a_cookie_says_is_cut_between_characters(letter: str) -> None:
    """Browsers drop a cookie of more than 4,096 bytes, and proxies an answer with such headers."""
    for shift in range(12):
        encoded = _encoded("+" + "x" * shift + letter * 2000)
        assert 1480 < len(encoded) <= 1500
        assert set(unquote(encoded)[1 + shift :]) == {"?" if letter == "\ud800" else letter}
    assert unquote(_encoded("!short %41")) == "!short %41"
