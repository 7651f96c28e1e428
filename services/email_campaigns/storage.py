"""Files by reference, in a local folder: a job carries a file's key, never the file."""

import os
import uuid
from pathlib import Path
from typing import BinaryIO

from services.email_campaigns.settings import settings

__all__ = ("delete_file", "file_ages", "read_file", "save_file")


def save_file(source: BinaryIO) -> tuple[str, int]:
    """Store what ``source`` holds and return its key and its size in bytes."""
    key, size = uuid.uuid4().hex, 0
    partial = _path(f"{key}.part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as target:
        while block := source.read(1 << 20):
            size += target.write(block)
        target.flush()
        os.fsync(target.fileno())
    partial.replace(_path(key))
    return key, size


def read_file(key: str) -> bytes:
    """Return a file's content. Raises ``FileNotFoundError``."""
    return _path(key).read_bytes()


def delete_file(key: str) -> None:
    """Remove a file; one that is gone already is fine."""
    _path(key).unlink(missing_ok=True)


def file_ages() -> dict[str, float]:
    """Return the unix time at which each file was written, by key."""
    folder = _path("x").parent
    return {path.name: path.stat().st_mtime for path in folder.iterdir()} if folder.is_dir() else {}


def _path(name: str) -> Path:
    return settings().folder / "files" / name
