"""Who does something: a person who signed in, a program with a token, or somebody at the command line.

    by = Actor("ann", Role.OPERATOR, "openid")
    by.role.may_act

Whatever changes anything takes ``by: Actor``, refuses who may only look, and writes it into the audit log.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from umbel.plain_text import one_line

__all__ = ("Actor", "Role", "cli_actor")

_NAME_MOST: Final = 200


class Role(StrEnum):
    """What somebody may do: look, or look and act."""

    VIEWER = "viewer"
    OPERATOR = "operator"

    @property
    def may_act(self) -> bool:
        """Whether this role changes anything."""
        return self is Role.OPERATOR


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it. ``via`` says how far the name is to be believed.

    ``host``: the application that the dashboard is mounted in knows them; ``openid``: their OpenID Connect provider
    does; ``token``: they have a token, and the name is what they call themselves; ``local``: they are on this machine,
    where no sign-in is set up; ``cli``: the login name at the command line.
    """

    name: str
    role: Role
    via: str

    def __post_init__(self) -> None:
        name = " ".join(one_line(str(self.name)).split())
        object.__setattr__(self, "name", name[:_NAME_MOST] or str(self.role))

    @property
    def may_act(self) -> bool:
        """Whether they may change anything."""
        return self.role.may_act


def cli_actor() -> Actor:
    """Return whoever runs this process: they can reach the stores, so they may act."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have no name.
        name = "unknown"
    return Actor(name, Role.OPERATOR, "cli")
