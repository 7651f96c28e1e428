"""SQL, one statement a name, in files beside this one."""

from __future__ import annotations

from functools import cache
from importlib import resources

__all__ = ("script", "statements")


@cache
def statements(file: str) -> dict[str, str]:
    """Return the statements of ``file`` by the names in its ``-- name: …`` lines."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in script(file).splitlines():
        if line.startswith("-- name: "):
            name = line.removeprefix("-- name: ").strip()
            found[name] = []
        elif name and not line.startswith("--"):
            found[name].append(line)
    return {name: "\n".join(lines).strip().removesuffix(";") for name, lines in found.items()}


def script(file: str) -> str:
    """Return the whole text of ``file``."""
    return resources.files(__package__).joinpath(file).read_text("utf-8")
