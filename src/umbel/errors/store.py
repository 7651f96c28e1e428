"""What is wrong with a store."""

from __future__ import annotations

from pathlib import Path

from umbel.errors.root import UmbelError

__all__ = (
    "StoreCorrupt",
    "StoreDenied",
    "StoreError",
    "StoreForeign",
    "StoreFull",
    "StoreReadOnly",
    "StoreTooNew",
    "StoreUnreachable",
)


class StoreError(UmbelError):
    """The engine's store cannot be used."""

    def __init__(self, path: str | Path, message: str) -> None:
        self.path = Path(path)
        super().__init__(message)


class StoreCorrupt(StoreError):
    """The file is damaged."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(
            path,
            f"{path} is damaged ({reason}). Stop all workers, keep a copy, and recover what can be read with "
            f"'sqlite3 {path} .recover', or move the file away to start with an empty one.",
        )


class StoreDenied(StoreError):
    """The server does not let this user in, or do what Umbel needs."""

    def __init__(self, url: str, reason: str, message: str | None = None) -> None:
        self.reason = reason
        super().__init__(
            url,
            message
            or f"{url} does not allow this ({reason}): give it user and password in the URL, and the user the rights "
            "that docs/operate/redis.md lists.",
        )


class StoreForeign(StoreError):
    """The file is not Umbel's."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(
            path,
            f"{path} is not an Umbel store ({reason}). Nothing was changed; "
            "point UMBEL_BROKER_URL to a file of its own.",
        )


class StoreFull(StoreError):
    """The disk or the server's memory is full; nothing of the failed step was written."""

    def __init__(self, path: str | Path, message: str | None = None) -> None:
        super().__init__(
            path,
            message or f"There is no space left to write {path}. Free some; nothing that was accepted has been lost.",
        )


class StoreReadOnly(StoreError):
    """The file or its folder cannot be written, or the server takes no writes now; ``reason`` is its word for it."""

    def __init__(self, path: str | Path, reason: str, message: str | None = None) -> None:
        self.reason = reason
        super().__init__(
            path,
            message
            or f"{path} cannot be written ({reason}). Give this user write permission on the file and its folder, "
            "or point UMBEL_BROKER_URL elsewhere.",
        )


class StoreTooNew(StoreError):
    """The file was written by a newer version of Umbel."""

    def __init__(self, path: str | Path, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(
            path,
            f"{path} has schema {found} and this version of Umbel knows up to {known}: upgrade Umbel here, "
            "or give this process a file of its own. Nothing was changed.",
        )


class StoreUnreachable(StoreError):
    """The server does not answer; what it had accepted is as safe as its own settings make it.

    ``unsure``: it may have done what was asked, and only its answer is missing.
    """

    def __init__(self, url: str, reason: str, advice: str | None = None, *, unsure: bool = True) -> None:
        self.reason = reason
        self.unsure = unsure
        asked = advice or "Is the server running, and are host and port right?"
        super().__init__(url, f"{url} cannot be reached ({reason}). {asked}")
