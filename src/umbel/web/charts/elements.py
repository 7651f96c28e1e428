"""Elements of SVG: escaped, with numbers no longer than a screen can show."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup, escape

__all__ = ("element", "percent")

_NAMES: Final = {"class_": "class", "for_": "for"}


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return an element; an attribute that is None is left out, and ``_`` in a name stands for ``-``.

        element("line", class_="grid", x1=0, x2="100%")

    Text among ``children`` is escaped, markup is not.
    """
    said = "".join(
        f' {_NAMES.get(key, key.replace("_", "-"))}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(children)
    return Markup(f"<{name}{said}>{inner}</{name}>" if children else f"<{name}{said}/>")  # noqa: S704


def percent(share: float) -> str:
    """Return ``12.5%`` for 0.125."""
    return f"{_short(share * 100)}%"


def _short(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
