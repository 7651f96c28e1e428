"""What ``umbel doctor`` says of the outbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from umbel.cli.console import duration
from umbel.cli.finding import Finding
from umbel.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("check_outbox",)

#: A relay looks every second: what waits longer has none.
_LONG_SECONDS: Final = 60.0


def check_outbox(app: Umbel) -> Iterator[Finding]:
    """C12: what was committed is published."""
    url = app.settings.database_url
    if url is None:
        return
    try:
        from umbel.jobs.outbox_relay import Relay, asking

        relay = Relay(url, app.main or "", lambda: app.engine)
    except (ConfigurationError, ImportError):
        # A database that can have no outbox.
        return
    try:
        with asking(relay):
            counts = relay.counts()
    except ConfigurationError:
        # One that has none.
        return
    except StoreError as error:
        yield Finding("outbox", "note", str(error))
        return
    finally:
        relay.close()
    if counts.oldest is not None and counts.oldest > _LONG_SECONDS:
        yield Finding(
            "outbox",
            "problem",
            f"{counts.waiting} committed jobs wait in the outbox, the oldest for {duration(counts.oldest)}: start "
            "'umbel worker' with UMBEL_DATABASE_URL, or 'umbel outbox relay'.",
        )
    if counts.aside:
        yield Finding("outbox", "problem", f"{counts.aside} jobs could not be published: see 'umbel outbox status'.")
    if not counts.aside and (counts.oldest or 0.0) <= _LONG_SECONDS:
        yield Finding("outbox", "ok", "What transactions dispatch is published.")
