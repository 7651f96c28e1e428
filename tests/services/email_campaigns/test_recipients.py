"""A recipient CSV as people have them: good rows in, bad ones reported by line, a broken file changes nothing."""

from __future__ import annotations

import csv
import io
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from services.email_campaigns import campaigns, database, recipients
from services.email_campaigns.models import Campaign, Mail
from services.email_campaigns.recipients import BadFile, Encoding, Imported, import_recipients
from tests.services.email_campaigns.conftest import Configure


@pytest.fixture
def campaign_id(configure: Configure) -> int:
    """A draft campaign."""
    with database.writing() as session:
        session.add(campaign := Campaign(name="Spring", subject="Hi", text="Dear {{ name }}", html=""))
    return campaign.id


def read(campaign_id: int, content: bytes, encoding: Encoding = "utf-8") -> Imported:
    return import_recipients(campaign_id, io.BytesIO(content), {"name"}, encoding)


def stored() -> list[tuple[str, dict[str, str]]]:
    with database.reading() as session:
        return [(mail.address, mail.fields) for mail in session.scalars(select(Mail).order_by(Mail.id))]


def test_good_rows_are_stored_with_their_columns(campaign_id: int) -> None:
    assert read(campaign_id, b"name,E-mail address,Email\nAda,x,Ada@Example.Test\n") == Imported(imported=1)
    assert stored() == [("ada@example.test", {"name": "Ada", "e-mail_address": "x"})]


def test_ten_percent_bad_addresses_are_reported_by_line_and_the_rest_imported(campaign_id: int) -> None:
    rows = [f"reader{n},Reader" if n % 10 == 0 else f"reader{n}@example.test,Reader" for n in range(100)]
    outcome = read(campaign_id, "\n".join(["email,name", *rows]).encode())
    assert (outcome.imported, outcome.rejected, len(stored())) == (90, 10, 90)
    assert [bad.line for bad in outcome.bad] == list(range(2, 102, 10))
    assert outcome.bad[1].value == "reader10"
    assert outcome.bad[1].reason == "An email address must have an @-sign."


@pytest.mark.parametrize(
    "address",
    ["=?utf-8?q?bob?=@example.test", "=?utf-8?q?=62ob?=@example.test", "=?utf-8?q?victim=40evil.test?=@example.test"],
)
def test_an_address_that_a_header_would_decode_to_another_one_is_refused(campaign_id: int, address: str) -> None:
    """Nobody gets two mails of a campaign, and a mail goes where its stored address says."""
    outcome = read(campaign_id, f"email,name\nbob@example.test,Bob\n{address},Bob\n".encode())
    assert (outcome.imported, outcome.rejected) == (1, 1)
    assert [address for address, _ in stored()] == ["bob@example.test"]


def test_a_campaign_that_is_cancelled_meanwhile_takes_no_more(
    campaign_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left pending in a campaign that has ended."""
    monkeypatch.setattr(recipients, "_PAGE", 2)
    store = recipients._store

    def cancel_after_the_first_page(*arguments: Any) -> None:
        store(*arguments)
        campaigns.cancel(campaign_id)

    monkeypatch.setattr(recipients, "_store", cancel_after_the_first_page)
    rows = "\n".join(f"reader{number}@example.test,Reader" for number in range(6))
    with pytest.raises(campaigns.NotPossible):
        read(campaign_id, f"email,name\n{rows}\n".encode())
    assert len(stored()) == 2


def test_lines_are_counted_as_an_editor_counts_them(campaign_id: int) -> None:
    """Blank lines and line breaks inside quotes count; so do the lines after them."""
    content = b'email,name\r\n\r\na@example.test,"two\r\nlines"\r\n  ,\r\nbad,B\r\n'
    outcome = read(campaign_id, content)
    assert stored() == [("a@example.test", {"name": "two\r\nlines"})]
    assert [(bad.line, bad.value) for bad in outcome.bad] == [(6, "bad")]


def test_a_byte_order_mark_is_no_part_of_the_header(campaign_id: int) -> None:
    assert read(campaign_id, b"\xef\xbb\xbfemail,name\na@example.test,A\n").imported == 1


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_semicolons_and_tabs_separate_too(campaign_id: int, delimiter: str) -> None:
    assert read(campaign_id, f"email{delimiter}name\na@example.test{delimiter}A, B\n".encode()).imported == 1
    assert stored() == [("a@example.test", {"name": "A, B"})]


def test_latin_1_is_refused_with_the_line_and_read_when_named(campaign_id: int) -> None:
    content = "email,name\na@example.test,Ann\nb@example.test,Björn\n".encode("latin-1")
    with pytest.raises(BadFile, match=r"^Line 3 is not utf-8: save the file as UTF-8, .* It may say: b@.*Björn$"):
        read(campaign_id, content)
    assert stored() == []
    assert read(campaign_id, content, "latin-1").imported == 2
    assert stored()[1] == ("b@example.test", {"name": "Björn"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"\n\n \n", "The file is empty"),
        (b"email,name\n", "a header and no recipients"),
        (b"a@example.test,Ada\nb@example.test,Bob\n", "has no header"),
        (b"mail,name\na@example.test,Ada\n", "lacks email; it has mail, name"),
        (b"email,first\na@example.test,Ada\n", "lacks name; it has email, first"),
        (b"email,name,Name\na@example.test,Ada,x\n", "names a column twice: name"),
        (b'email,name\na@example.test,Ada\nb@example.test,"Bob\n', "Line 3 cannot be read as CSV"),
        ("email,name\na@example.test,Ada\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"email,name," + b",".join(b"c%d" % n for n in range(60)) + b"\n", "62 columns; 50 are allowed"),
        (b"email,name\na@example.test," + b"x" * 200_000 + b"\n", "field larger than field limit"),
    ],
)
def test_a_broken_file_says_why_and_changes_nothing(campaign_id: int, content: bytes, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        read(campaign_id, content)
    assert stored() == []


def test_rows_of_another_length_and_long_cells_are_bad_rows(campaign_id: int) -> None:
    content = (
        b"email,name\na@example.test\nb@example.test,B,C\nc@example.test,"
        + b"x" * 1001
        + b"\nd@example.test,D\0\ne@example.test,E\n"
    )
    outcome = read(campaign_id, content)
    assert (outcome.imported, [bad.line for bad in outcome.bad]) == (1, [2, 3, 4, 5])


def test_an_address_counts_once_however_it_is_spelt_and_sent(campaign_id: int) -> None:
    content = b"email,name\na@example.test,A\nA@EXAMPLE.test ,A\nb@example.test,B\n"
    assert read(campaign_id, content) == Imported(imported=2, duplicates=1)
    assert read(campaign_id, content) == Imported(imported=0, duplicates=3)


def test_only_the_first_thousand_bad_rows_are_kept(campaign_id: int) -> None:
    outcome = read(campaign_id, b"email,name\n" + b"bad,B\n" * 1500)
    assert (outcome.rejected, len(outcome.bad)) == (1500, 1000)


@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20), min_size=1, max_size=8))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_whatever_a_csv_writer_writes_is_read_back(campaign_id: int, names: list[str]) -> None:
    with database.writing() as session:
        session.execute(delete(Mail))
    text = io.StringIO()
    csv.writer(text).writerows([("email", "name"), *((f"r{n}@example.test", name) for n, name in enumerate(names))])
    assert read(campaign_id, text.getvalue().encode()).imported == len(names)
    assert [fields["name"] for _, fields in stored()] == [name.strip() for name in names]


def test_memory_does_not_grow_with_the_file(campaign_id: int, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w") as file:
        file.write("email,name\n")
        file.writelines(f"reader{number}@example.test,{'x' * 500}\n" for number in range(8000))
    with path.open("rb") as source:
        tracemalloc.start()
        try:
            assert import_recipients(campaign_id, source, {"name"}).imported == 8000
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < path.stat().st_size


def test_the_upload_answers_with_the_report(client: httpx.Client, campaign_id: int) -> None:
    answer = client.post(
        f"/campaigns/{campaign_id}/recipients", files={"file": ("r.csv", b"email,name\na@example.test,A\nbad,B\n")}
    )
    assert answer.status_code == 200
    assert (answer.json()["imported"], answer.json()["bad"][0]["line"]) == (1, 3)


def test_the_upload_of_a_broken_file_is_a_422_with_one_sentence(client: httpx.Client, campaign_id: int) -> None:
    answer = client.post(f"/campaigns/{campaign_id}/recipients", files={"file": ("r.csv", b"")})
    assert (answer.status_code, answer.json()["detail"][:18]) == (422, "The file is empty;")


def test_an_upload_above_the_limit_is_a_413(client: httpx.Client, campaign_id: int) -> None:
    answer = client.post(f"/campaigns/{campaign_id}/recipients", files={"file": ("r.csv", b"x" * 21_000_000)})
    assert answer.status_code == 413
