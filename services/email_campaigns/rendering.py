"""From templates and a recipient's fields to a message. Templates come from people, so they run in Jinja's sandbox."""

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate, parseaddr
from functools import lru_cache
from typing import Any

from jinja2 import PackageLoader, StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.email_campaigns.models import Attachment
from services.email_campaigns.settings import settings
from services.email_campaigns.storage import read_file

__all__ = ("RenderingFailed", "compose", "render", "standard_template", "variables")

#: Seven bits only, so that any server takes it, whatever the recipient is called.
_POLICY = SMTP.clone(cte_type="7bit")
_LOADER = PackageLoader("services.email_campaigns")
_SPACE = re.compile(r"\s+")


class RenderingFailed(ValueError):
    """A template has a mistake, or uses a field that the recipient does not have."""


def variables(*sources: str) -> set[str]:
    """Return the names that the templates use, and so the columns that a CSV must have.

    Raises :class:`RenderingFailed` where a template cannot be parsed.
    """
    environment = _environment(autoescape=False)
    try:
        return {name for source in sources for name in meta.find_undeclared_variables(environment.parse(source))}
    except TemplateError as error:
        raise RenderingFailed(f"The template has a mistake: {error}.") from None


def render(source: str, fields: dict[str, Any], *, html: bool = False) -> str:
    """Fill in a template; ``html`` escapes the fields.

    Raises :class:`RenderingFailed` when a field is missing or the template does what it may not.
    """
    try:
        return _compiled(source, html).render(fields)
    except RecursionError as error:
        raise RenderingFailed(f"The template calls itself: {error}.") from None
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise RenderingFailed(f"The template could not be filled in: {error}.") from error


def standard_template(name: str) -> str:
    """Return the source of one of the service's own templates, such as ``"welcome.html"``."""
    return _LOADER.get_source(_environment(autoescape=False), name)[0]


def compose(
    *, to: str, subject: str, text: str, html: str, message_id: str, attachments: list[Attachment] | None = None
) -> EmailMessage:
    """Build the message, HTML beside text and the attachments after both."""
    name, sender = parseaddr(settings().sender)
    message = EmailMessage(policy=_POLICY)
    message["From"] = formataddr((name, sender))
    message["To"] = Address(addr_spec=to)
    message["Subject"] = _SPACE.sub(" ", subject).strip()
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    for attachment in attachments or []:
        main, _, sub = attachment.content_type.partition("/")
        message.add_attachment(read_file(attachment.key), maintype=main, subtype=sub, filename=attachment.filename)
    return message


def _environment(*, autoescape: bool) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(autoescape=autoescape, undefined=StrictUndefined, loader=_LOADER)


@lru_cache(maxsize=64)
def _compiled(source: str, html: bool) -> Template:
    return _environment(autoescape=html).from_string(source)
