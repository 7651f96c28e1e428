"""Templates come from people: what they may not do, and what a message looks like."""

from __future__ import annotations

import io

import pytest

from services.email_campaigns.models import Attachment
from services.email_campaigns.rendering import RenderingFailed, compose, render, standard_template, variables
from services.email_campaigns.storage import save_file
from tests.services.email_campaigns.conftest import Configure


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ self._TemplateReference__context.environment }}",
        "{{ name.__init__.__globals__ }}",
        "{{ fields.append(1) }}",
        "{% for _ in range(10**9) %}{% endfor %}",
        "{% include 'welcome.txt' %}{{ missing }}",
        "{{ 1 / 0 }}",
        "{{ name.foo.bar }}",
    ],
)
def test_a_template_cannot_reach_out_of_its_fields(source: str) -> None:
    with pytest.raises(RenderingFailed, match="could not be filled in"):
        render(source, {"name": "Ada", "fields": []})


def test_a_mistake_is_found_when_the_template_is_parsed() -> None:
    with pytest.raises(RenderingFailed, match="has a mistake"):
        variables("{{ name")


def test_the_columns_that_templates_need() -> None:
    assert variables("{{ first }} {{ last | upper }}", "{% for x in items %}{{ x }}{% endfor %}") == {
        "first",
        "last",
        "items",
    }


def test_fields_are_escaped_in_html_only() -> None:
    assert render("<p>{{ name }}</p>", {"name": "<b>"}, html=True) == "<p>&lt;b&gt;</p>"
    assert render("{{ name }}", {"name": "<b>"}) == "<b>"


def test_a_line_break_in_a_field_adds_no_header(configure: Configure) -> None:
    message = compose(to="a@example.test", subject="Hi\r\nBcc: x@example.test", text="t", html="", message_id="m")
    assert message["Subject"] == "Hi Bcc: x@example.test"
    assert b"\r\nBcc:" not in message.as_bytes()


def test_text_and_html_and_attachments_by_reference(configure: Configure) -> None:
    configure(sender="Flower Shop <shop@example.test>")
    key, size = save_file(io.BytesIO(b"%PDF"))
    attachment = Attachment(filename="Übersicht.pdf", content_type="application/pdf", size=size, key=key)
    message = compose(
        to="a@example.test", subject="Ünï", text="plain", html="<p>rich</p>", message_id="m", attachments=[attachment]
    )
    body, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert body is not None
    assert rich is not None
    assert (body.get_content(), rich.get_content()) == ("plain\n", "<p>rich</p>\n")
    (part,) = message.iter_attachments()
    assert (part.get_filename(), part.get_content_type(), part.get_content()) == (
        "Übersicht.pdf",
        "application/pdf",
        b"%PDF",
    )
    assert message["Message-ID"] == "<m@example.test>"
    assert message.as_bytes().isascii()


@pytest.mark.parametrize("kind", ["welcome", "password_reset", "digest"])
def test_the_services_own_templates_can_be_filled_in(kind: str) -> None:
    fields = {"name": "Ada", "email": "a@example.test", "link": "https://x", "date": "2026-01-01"}
    fields |= dict.fromkeys(("sent", "failed", "uncertain", "pending", "sending"), "0")
    for part in ("subject", "txt", "html"):
        source = standard_template(f"{kind}.{part}")
        assert variables(source) <= fields.keys()
        assert render(source, fields, html=part == "html")
