"""Peers live in virtual environments of their own under ``.bench/``, at pinned versions, made once and used again."""

import hashlib
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.subjects import Subject

__all__ = ["ROOT", "Environments", "Missing", "prepare"]

_PROJECT = Path(__file__).resolve().parent.parent
ROOT = _PROJECT / ".bench"

_SECONDS = 300


class Missing(Exception):
    """A peer that cannot be installed here; the text says why."""


@dataclass(slots=True)
class Environments:
    """Finds or makes the interpreter of each subject."""

    root: Path = ROOT
    _found: dict[Path, Path | Missing] = field(default_factory=dict)

    def python(self, subject: Subject) -> Path:
        """The interpreter that has ``subject`` installed; raises :class:`Missing`."""
        if subject.requirements is None:
            return Path(sys.executable)
        if subject.requirements not in self._found:
            self._found[subject.requirements] = self._look(subject.requirements)
        found = self._found[subject.requirements]
        if isinstance(found, Missing):
            raise found
        return found

    def _look(self, requirements: Path) -> Path | Missing:
        home = self.root / requirements.stem
        stamp = home / "installed"
        mark = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
        python = home / "bin" / "python"
        if stamp.exists() and stamp.read_text() == mark and python.exists():
            return python
        print(f"installing {requirements.stem} into {home.name} ...", file=sys.stderr, flush=True)
        try:
            self._install(home, python, requirements)
        except (OSError, subprocess.SubprocessError) as error:
            return Missing(_reason(error))
        stamp.write_text(mark)
        return python

    def _install(self, home: Path, python: Path, requirements: Path) -> None:
        prepare(self.root)
        venv.create(home, clear=True, with_pip=True)
        pinned = ("-r", str(requirements), "-c", str(_PROJECT / "constraints.txt"))
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)


def prepare(root: Path = ROOT) -> Path:
    """Make ``.bench/``, which ignores itself."""
    root.mkdir(exist_ok=True)
    ignore = root / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return root


def _reason(error: Exception) -> str:
    output = getattr(error, "stderr", None) or str(error)
    lines = [line.strip() for line in str(output).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
