"""Find the application that a command is about: first by reading text, then, where it is needed, by importing it.

:func:`resolve` imports nothing of the user's, so that a supervisor stays small and survives a module that does not
import; :func:`load` imports, and turns whatever goes wrong there into one sentence with the module and the line.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final

from umbel.cli.source import applications
from umbel.errors import ConfigurationError

if TYPE_CHECKING:
    from celery import Celery

__all__ = ("Found", "load", "look", "prepare_path", "resolve")

#: The module names that are looked at, the likeliest first.
NAMES: Final = ("jobs", "tasks", "celery_app", "worker", "app", "main")
#: In a package, ``celery.py`` and the package itself may hold it; at the top ``celery.py`` would shadow Celery.
PACKAGE_NAMES: Final = ("__init__", "jobs", "tasks", "celery_app", "celery", "worker", "app", "main")
_SKIPPED: Final = frozenset(
    {"build", "dist", "docs", "migrations", "node_modules", "site-packages", "test", "tests", "venv", "env"}
)
_FOLDERS: Final = 200
_SPEC: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")


@dataclass(frozen=True, slots=True)
class Found:
    """The application that was found by looking; ``others`` are those that were passed over."""

    spec: str
    path: Path
    others: tuple[str, ...] = ()


def resolve(spec: str | None = None, *, folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the application as ``module:attribute`` (``module`` where its text does not tell the attribute).

    ``spec`` is what ``-A`` said: a module, ``module:attribute``, ``module.attribute``, a package or a ``.py`` file.
    Without it ``UMBEL_APP`` counts, then the usual places in ``folder`` (the current one by default).

    Raises :class:`~umbel.errors.ConfigurationError` when nothing is there or several fit.
    """
    folder = folder or Path.cwd()
    wanted = spec or environ.get("UMBEL_APP")
    return _resolve_spec(wanted, folder) if wanted else look(folder).spec


def look(folder: Path) -> Found:
    """Return the first application in the usual places of ``folder``, by reading text only."""
    found: list[tuple[Path, list[str]]] = []
    for place in _places(folder):
        specs = [(path, spec) for path, module in place for spec in _specs(path, module)]
        if specs:
            found.append((specs[0][0], [spec for _, spec in specs]))
    if not found:
        raise ConfigurationError(
            f"No application was found in {folder}: name it with -A module:attribute or UMBEL_APP, "
            "or start one here with 'umbel init'."
        )
    path, first = found[0]
    if len(first) > 1:
        raise ConfigurationError(f"Several applications were found: {', '.join(first)}. Choose one with -A.")
    return Found(first[0], path, tuple(spec for _, specs in found[1:] for spec in specs))


def prepare_path(folder: Path | None = None) -> None:
    """Let this process and its children import what stands in ``folder`` and in its ``src``.

    A console script's ``sys.path`` begins with its own folder, and a spawned child knows only ``PYTHONPATH``.
    """
    roots = [str(root) for root in _roots(folder or Path.cwd())]
    sys.path[:0] = [root for root in roots if root not in sys.path]
    known = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    os.environ["PYTHONPATH"] = os.pathsep.join([*(root for root in roots if root not in known), *known])


def load(spec: str, *, folder: Path | None = None) -> Celery:
    """Import the application ``module[:attribute]`` with all modules of tasks that it names.

    Raises :class:`~umbel.errors.ConfigurationError` when it does not import or is no application.
    """
    from umbel.cli.importing import import_application

    prepare_path(folder)
    return import_application(spec)


def _resolve_spec(spec: str, folder: Path) -> str:
    spec = _from_file_name(spec, folder)
    if not _SPEC.fullmatch(spec):
        raise ConfigurationError(
            f"{spec!r} does not name an application: write -A module:attribute, as in -A shop.jobs:jobs."
        )
    module, _, attribute = spec.partition(":")
    found = _find_module(module, folder)
    if found is None and not attribute and "." in module:
        module, _, attribute = module.rpartition(".")
        found = _find_module(module, folder)
    if found is None:
        raise ConfigurationError(
            f"There is no module {spec.partition(':')[0]!r} in {folder} or among the installed packages."
        )
    if attribute:
        return f"{module}:{attribute}"
    return _choose(module, found)


def _from_file_name(spec: str, folder: Path) -> str:
    """Read ``app/jobs.py:jobs`` as ``app.jobs:jobs``, since shells complete file names."""
    path, colon, attribute = spec.partition(":")
    if not path.endswith(".py"):
        return spec
    place = Path(path)
    if place.is_absolute():
        if not place.is_relative_to(folder.absolute()):
            raise ConfigurationError(f"{path} is not below {folder.absolute()}: name it from its project's own folder.")
        place = place.relative_to(folder.absolute())
    parts = place.with_suffix("").parts
    parts = parts[1:] if parts[0] in (".", "src") and len(parts) > 1 else parts
    return ".".join(parts) + colon + attribute


def _choose(module: str, found: ModuleSpec) -> str:
    files = [(Path(found.origin), module)] if found.origin and found.origin.endswith(".py") else []
    for location in found.submodule_search_locations or ():
        files += [(Path(location, f"{name}.py"), f"{module}.{name}") for name in PACKAGE_NAMES[1:]]
    for path, name in files:
        specs = _specs(path, name)
        preferred = [spec for spec in specs if spec.endswith((":app", ":celery"))]
        if len(specs) > 1 and not preferred:
            raise ConfigurationError(f"{name} holds several applications: choose one with -A, {' or '.join(specs)}.")
        if specs:
            return (preferred or specs)[0]
    return module


def _find_module(name: str, folder: Path) -> ModuleSpec | None:
    """Find a module's file as an import would, but without importing its parents."""
    path: list[str] | None = [*(str(root) for root in _roots(folder)), *sys.path]
    found: ModuleSpec | None = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        if path is None:
            return None
        # By the last part only: a namespace package would be asked for its parent, which is not imported.
        found = PathFinder.find_spec(parts[depth - 1], path)
        if found is None:
            return None
        locations = found.submodule_search_locations
        path = None if locations is None else list(locations)
    return found


def _roots(folder: Path) -> list[Path]:
    source = folder / "src"
    return [folder, source] if source.is_dir() and not (source / "__init__.py").exists() else [folder]


def _places(folder: Path) -> Iterator[list[tuple[Path, str]]]:
    """Yield the usual places as groups of (file, module); two applications in one group are ambiguous."""
    roots = _roots(folder)
    for name in NAMES:
        yield [(root / f"{name}.py", name) for root in roots]
    packages = [package for root in roots for package in _packages(root)]
    for name in PACKAGE_NAMES:
        yield [
            (package / f"{name}.py", package.name if name == "__init__" else f"{package.name}.{name}")
            for package in packages
        ]


def _packages(root: Path) -> list[Path]:
    try:
        entries = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except OSError:
        return []
    names = [name for name in entries if name.isidentifier() and name not in _SKIPPED and name != "src"]
    names.sort(key=lambda name: name != "app")
    return [root / name for name in names[:_FOLDERS] if not (root / name / "pyvenv.cfg").exists()]


def _specs(path: Path, module: str) -> list[str]:
    return [f"{module}:{name}" for name in applications(path)] if path.is_file() else []
