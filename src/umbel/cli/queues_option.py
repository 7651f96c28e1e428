"""``-Q high,default`` (in that order) and ``-Q high:4,default:1`` (by weight)."""

from __future__ import annotations

import re
from typing import Any, Final

import click

__all__ = ("QUEUES",)

_ITEM: Final = re.compile(r"([^\s,:]+)(?::(\d{1,4}))?")
_QUEUES: Final = 1000


class _Queues(click.ParamType[str]):
    name = "queues"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the list without blanks; weights are for all queues or for none."""
        items = [item.strip() for item in str(value).split(",") if item.strip()]
        matches = [_ITEM.fullmatch(item) for item in items]
        if not items or None in matches or len(items) > _QUEUES:
            self.fail(f"{value!r} is not a list of queues: write high,default or high:4,default:1.", param, ctx)
        weights = [int(match[2]) for match in matches if match and match[2]]
        if weights and (len(weights) != len(items) or 0 in weights):
            self.fail(f"{value!r}: give every queue a weight of at least 1, or none.", param, ctx)
        names = [match[1] for match in matches if match]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            self.fail(f"{', '.join(twice)} is named twice.", param, ctx)
        return ",".join(items)


QUEUES: Final = _Queues()
