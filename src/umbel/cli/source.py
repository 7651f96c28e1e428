"""Read from a module's text which of its names are applications, without importing it.

Costs one parse of the file; files above 1 MB and those that mention neither Umbel nor Celery are not parsed.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

__all__ = ("applications",)

_LIMIT: Final = 1_000_000
_PACKAGES: Final = frozenset({"umbel", "celery"})
_CLASSES: Final = frozenset({"Umbel", "Celery"})
_MENTION: Final = re.compile(rb"\b(?:Umbel|Celery)\b")
_ASSIGNMENT: Final = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(?:Umbel|Celery)\s*[\[(]", re.MULTILINE)


def applications(path: Path) -> list[str]:
    """Return the module-level names in ``path`` that hold an application, in the order of the file.

    A file that cannot be read has none; one that does not parse is searched line by line, so that the import
    which follows can say what is wrong with it.
    """
    text = _read(path)
    if text is None:
        return []
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return list(dict.fromkeys(_ASSIGNMENT.findall(text)))
    return list(dict.fromkeys(_Module(tree).assigned(tree.body)))


def _read(path: Path) -> str | None:
    try:
        if path.stat().st_size > _LIMIT:
            return None
        raw = path.read_bytes()
    except OSError:
        return None
    return raw.decode("utf-8", "replace") if _MENTION.search(raw) else None


class _Module:
    """The names of one module that mean an application class, and the assignments that use them."""

    def __init__(self, tree: ast.Module) -> None:
        self._classes: set[str] = set()
        self._modules: set[str] = set()
        self._factories: set[str] = set()
        for node in ast.walk(tree):
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] in _PACKAGES:
                self._classes |= {alias.asname or alias.name for alias in names if alias.name in _CLASSES}
            case ast.Import(names=names):
                self._modules |= {alias.asname or alias.name for alias in names if alias.name in _PACKAGES}
            case ast.ClassDef(name=name, bases=bases) if any(self._is_class(base) for base in bases):
                self._classes.add(name)
            case ast.FunctionDef(name=name, returns=ast.expr() as returns) if self._is_class(returns):
                self._factories.add(name)

    def _is_class(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return name in self._classes
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                return module in self._modules and name in _CLASSES
            case ast.Subscript(value=value):
                return self._is_class(value)
        return False

    def _makes_application(self, node: ast.expr | None) -> bool:
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in self._factories:
                return True
            case ast.Call(func=function):
                return self._is_class(function)
        return False

    def assigned(self, body: list[ast.stmt]) -> list[str]:
        """The names that ``body`` assigns an application to, branches of ``if`` and ``try`` included."""
        found: list[str] = []
        for node in body:
            match node:
                case ast.Assign(targets=targets, value=value) if self._makes_application(value):
                    found += [target.id for target in targets if isinstance(target, ast.Name)]
                case ast.AnnAssign(target=ast.Name(id=name), value=value) if self._makes_application(value):
                    found.append(name)
                case ast.If(body=inner, orelse=other):
                    found += self.assigned(inner) + self.assigned(other)
                case ast.Try(body=inner, orelse=other, handlers=handlers):
                    found += self.assigned(inner) + self.assigned(other)
                    for handler in handlers:
                        found += self.assigned(handler.body)
        return found
