"""The received mails, one row each, in a SQLite file: the mail server writes it, the inbox pages read it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path

__all__ = ("Mailbox", "Received")

_TABLE = """
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY,
    received REAL NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    message_id TEXT NOT NULL,
    content BLOB NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Received:
    """One mail in the list; ``received`` in unix seconds."""

    id: int
    received: float
    sender: str
    recipient: str
    subject: str
    message_id: str


class Mailbox:
    """The mails in one file. Each call opens it anew, so any process and thread may."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made when it is not there."""
        self._path = path
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode=WAL").close()
            connection.execute(_TABLE)

    def add(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Store a mail, once for each recipient."""
        header = BytesHeaderParser(policy=default).parsebytes(content)
        about = (str(header["Subject"] or ""), str(header["Message-ID"] or ""), content)
        with self._open() as connection:
            rows = [(time.time(), sender, recipient, *about) for recipient in recipients]
            connection.executemany(
                "INSERT INTO mails (received, sender, recipient, subject, message_id, content)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def count(self) -> int:
        """Return how many mails there are."""
        with self._open() as connection:
            return int(connection.execute("SELECT count(*) FROM mails").fetchone()[0])

    def recipients(self) -> list[str]:
        """Return each mail's recipient, in the order of arrival."""
        with self._open() as connection:
            return [row[0] for row in connection.execute("SELECT recipient FROM mails ORDER BY id")]

    def newest(self, before: int | None = None, limit: int = 50) -> list[Received]:
        """Return mails with an id below ``before``, the newest first."""
        with self._open() as connection:
            query = (
                "SELECT id, received, sender, recipient, subject, message_id FROM mails"
                " WHERE id < ? ORDER BY id DESC LIMIT ?"
            )
            return [Received(*row) for row in connection.execute(query, (before or 2**62, limit))]

    def read(self, mail_id: int) -> EmailMessage | None:
        """Return one mail, or ``None``."""
        with self._open() as connection:
            row = connection.execute("SELECT content FROM mails WHERE id = ?", (mail_id,)).fetchone()
        return None if row is None else message_from_bytes(row[0], EmailMessage, policy=default)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            connection.execute("PRAGMA synchronous=NORMAL").close()
            yield connection
