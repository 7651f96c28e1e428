"""Recipients from a CSV file of any size, in bounded memory.

The file is read twice: first whether it is sound at all (encoding, header, quotes), so that a broken one changes
nothing; then its rows are stored a page at a time. Good rows count, bad ones are reported by line, and an address that
the campaign already has is not added again; so the same file may be sent once more after any interruption.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, Literal

from services.email_campaigns import campaigns
from services.email_campaigns.addresses import normal_address
from services.email_campaigns.database import insert_new, writing
from services.email_campaigns.models import Mail, MailKind

__all__ = ("BadFile", "BadRow", "Encoding", "Imported", "import_recipients")

Encoding = Literal["utf-8", "latin-1", "cp1252"]

_PAGE = 500
_SHOWN = 1000
_MAX_COLUMNS = 50
_MAX_CELL = 1000


class BadFile(ValueError):
    """The file cannot be read as recipients; nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: the line of the file on which it begins, what stood there, and why."""

    line: int
    value: str
    reason: str


@dataclass(slots=True)
class Imported:
    """What became of a file's rows. ``bad`` lists the first thousand of those ``rejected``."""

    imported: int = 0
    duplicates: int = 0
    rejected: int = 0
    bad: list[BadRow] = field(default_factory=list)

    def reject(self, row: BadRow) -> None:
        """Count a row that was left out."""
        self.rejected += 1
        if len(self.bad) < _SHOWN:
            self.bad.append(row)


def import_recipients(campaign_id: int, file: BinaryIO, needed: set[str], encoding: Encoding = "utf-8") -> Imported:
    """Add the file's rows to the campaign. Its header must name ``email`` and all of ``needed``.

    Raises :class:`BadFile`, with the line, when the file as a whole is no such thing, and
    :class:`~services.email_campaigns.campaigns.NotPossible` when the campaign was ended meanwhile.
    """
    header = _checked_header(file, needed, encoding)
    outcome = Imported()
    with _rows(file, header.delimiter, encoding) as rows:
        next(rows)
        while page := list(islice(rows, _PAGE)):
            _store(campaign_id, [row for line, cells in page if (row := _row(line, cells, header, outcome))], outcome)
    return outcome


@dataclass(frozen=True, slots=True)
class _Header:
    names: list[str]
    delimiter: str


def _checked_header(file: BinaryIO, needed: set[str], encoding: Encoding) -> _Header:
    """Read the whole file once without storing anything, and return its header."""
    with _text(file, encoding) as text:
        start = text.read(10_000)
        delimiter = max(",;\t", key=start.partition("\n")[0].count)
    with _rows(file, delimiter, encoding) as rows:
        _, cells = next(rows, (1, []))
        names = [cell.strip().lower().replace(" ", "_") for cell in cells]
        _check_names(names, needed)
        if next(rows, None) is None:
            raise BadFile("The file has a header and no recipients.")
        for _ in rows:
            pass
    return _Header(names, delimiter)


def _check_names(names: list[str], needed: set[str]) -> None:
    if not names:
        raise BadFile("The file is empty; its first line must name the columns, one of them 'email'.")
    if any("@" in name for name in names):
        raise BadFile("The file has no header: its first line must name the columns, one of them 'email'.")
    if len(names) > _MAX_COLUMNS:
        raise BadFile(f"The file has {len(names)} columns; {_MAX_COLUMNS} are allowed.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadFile(f"The header names a column twice: {', '.join(twice)}.")
    if missing := sorted(({"email"} | needed) - set(names)):
        raise BadFile(f"The header lacks {', '.join(missing)}; it has {', '.join(names)[:500]}.")


def _row(line: int, cells: list[str], header: _Header, outcome: Imported) -> dict[str, Any] | None:
    """Return the row's values by column, or count it as rejected."""
    fields = dict(zip(header.names, (cell.strip() for cell in cells), strict=False))
    address = fields.pop("email", "")
    try:
        if len(cells) != len(header.names):
            raise ValueError(f"The row has {len(cells)} cells and the header {len(header.names)}.")
        if max(map(len, cells)) > _MAX_CELL:
            raise ValueError(f"A cell is longer than {_MAX_CELL} characters.")
        if any("\0" in cell for cell in cells):
            raise ValueError("A cell holds a zero byte.")
        return {"address": normal_address(address), "fields": fields}
    except ValueError as error:
        outcome.reject(BadRow(line, address[:100], str(error)))
        return None


def _store(campaign_id: int, rows: list[dict[str, Any]], outcome: Imported) -> None:
    if not rows:
        return
    with writing() as session:
        # It may have been cancelled since the last page.
        campaigns.get(session, campaign_id, *campaigns.OPEN)
        values = [{"campaign_id": campaign_id, "kind": MailKind.CAMPAIGN, **row} for row in rows]
        added = insert_new(session, Mail, values)
    outcome.imported += added
    outcome.duplicates += len(rows) - added


@contextmanager
def _text(file: BinaryIO, encoding: Encoding) -> Iterator[io.TextIOWrapper]:
    file.seek(0)
    if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
        raise BadFile("The file is UTF-16; save it as UTF-8.")
    file.seek(0)
    text = io.TextIOWrapper(file, "utf-8-sig" if encoding == "utf-8" else encoding, newline="")
    try:
        yield text
    except UnicodeDecodeError:
        raise BadFile(_not_in(encoding, file)) from None
    finally:
        text.detach()


def _not_in(encoding: Encoding, file: BinaryIO) -> str:
    file.seek(0)
    for number, line in enumerate(file, 1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            shown = line.decode("latin-1").strip()[:100]
            return f"Line {number} is not {encoding}: save the file as UTF-8, or name its encoding. It may say: {shown}"
    return f"The file is not {encoding}: save it as UTF-8, or name its encoding."


@contextmanager
def _rows(file: BinaryIO, delimiter: str, encoding: Encoding) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """Give the rows that are not blank, each with the line on which it begins."""
    with _text(file, encoding) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)

        def rows() -> Iterator[tuple[int, list[str]]]:
            line = 1
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield line, cells
                line = reader.line_num + 1

        try:
            yield rows()
        except csv.Error as error:
            raise BadFile(f"Line {reader.line_num} cannot be read as CSV: {error}.") from None
