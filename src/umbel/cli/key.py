"""``umbel key``: a new key for ``UMBEL_PAYLOAD_KEYS``."""

from __future__ import annotations

import time

import click

__all__ = ("key",)


@click.command()
@click.argument("name", required=False)
def key(name: str | None) -> None:
    """Print a new key for UMBEL_PAYLOAD_KEYS.

    NAME tells it from others, in what it protects; today's date unless given.
    """
    from umbel.engine.keyring import Keyring

    click.echo(Keyring.fresh(name or time.strftime("k%Y%m%d")))
