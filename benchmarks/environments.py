"""Peers live in environments of their own under ``.bench/``, at pinned versions, made once and used again."""

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.subjects import Subject
from benchmarks.subjects.subject import ROOT

__all__ = ["ROOT", "Environments", "Missing", "prepare"]

_SECONDS = 300


class Missing(Exception):
    """A peer that cannot be installed here; the text says why."""


@dataclass(slots=True)
class Environments:
    """Finds or makes the interpreter of each subject."""

    root: Path = ROOT
    _found: dict[tuple[str, Path | None], Path | Missing] = field(default_factory=dict)

    def program(self, subject: Subject) -> Path:
        """The interpreter that has ``subject`` installed; raises :class:`Missing`."""
        key = (subject.language, subject.requirements)
        if key not in self._found:
            self._found[key] = self._look(subject)
        found = self._found[key]
        if isinstance(found, Missing):
            raise found
        return found

    def _look(self, subject: Subject) -> Path | Missing:
        try:
            if subject.language == "ruby":
                return _ruby()
            if subject.requirements is None:
                return Path(sys.executable)
            return self._node(subject) if subject.language == "node" else self._python(subject.requirements)
        except (OSError, subprocess.SubprocessError) as error:
            return Missing(_reason(error))
        except Missing as missing:
            return missing

    def _python(self, requirements: Path) -> Path:
        home = self.root / requirements.stem
        python = home / "bin" / "python"

        def install() -> None:
            venv.create(home, clear=True, with_pip=True)
            # The lists are whole: what is not in them is not installed.
            pinned = ("--no-deps", "-r", str(requirements))
            _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned)

        self._once(home, requirements, sys.version, install)
        return python

    def _node(self, subject: Subject) -> Path:
        node, npm = _need("node"), _need("npm")
        if subject.requirements is None:
            return node
        manifest, home = subject.requirements, self.root / subject.name

        def install() -> None:
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            shutil.copy(manifest, home)
            _run(str(npm), "install", "--prefix", str(home), "--no-audit", "--no-fund", "--loglevel", "error")

        self._once(home, manifest, str(node), install)
        return node

    def _once(self, home: Path, list_of: Path, interpreter: str, install: Callable[[], None]) -> None:
        stamp = home / "installed"
        mark = hashlib.sha256(list_of.read_bytes() + interpreter.encode()).hexdigest()
        if stamp.exists() and stamp.read_text() == mark:
            return
        prepare(self.root)
        print(f"installing {home.name} ...", file=sys.stderr, flush=True)
        install()
        stamp.write_text(mark)


def prepare(root: Path = ROOT) -> Path:
    """Make ``.bench/``, which ignores itself."""
    root.mkdir(exist_ok=True)
    ignore = root / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return root


def _ruby() -> Path:
    ruby = _need("ruby")
    try:
        _run(str(ruby), "-e", "require 'sidekiq'")
    except subprocess.CalledProcessError as error:
        raise Missing("there is no Sidekiq for ruby here (Debian: apt install ruby-sidekiq)") from error
    return ruby


def _need(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return Path(found)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)


def _reason(error: Exception) -> str:
    output = getattr(error, "stderr", None) or str(error)
    lines = [line.strip() for line in str(output).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
