"""The audit log as people read it."""

from __future__ import annotations

import re

from tests.integration.web.dashboard.visitor import Visitor, text_of
from umbel.monitor.actors import Actor, Role
from umbel.monitor.audit import AuditLog

BOB = Actor("<b>bob", Role.VIEWER, "token")
DAY = 1_790_000_000.0  # 2026-09-21


def log_of(visitor: Visitor) -> AuditLog:
    log: AuditLog = visitor.site.state.site.app.history.audit
    return log


def rows(visitor: Visitor, query: str = "") -> list[str]:
    page = visitor.get(f"/audit{query}")
    assert page.status_code == 200, page.text
    return [text_of_row(row) for row in re.findall(r"<tr.*?</tr>", page.text, re.DOTALL)[1:]]


def text_of_row(row: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", row).split())


def test_c44_a_sign_in_is_the_first_thing_that_is_written_down(ann: Visitor) -> None:
    assert rows(ann) == ["0 s ago ann token session.begin 192.0.2.7 done"]


def test_filters_stand_in_the_address(ann: Visitor) -> None:
    log = log_of(ann)
    log.write(BOB, "queue.pause", "mail", {"why": "SMTP"}, "bob may look and not act.", at=DAY)
    log.write(BOB, "job.cancel", "id-1", at=DAY + 86_400)
    assert len(rows(ann)) == 3
    found = rows(ann, "?actor=%3Cb%3Ebob&action=queue")
    assert len(found) == 1
    assert "&lt;b&gt;bob token queue.pause mail" in found[0]
    assert "not done bob may look and not act." in found[0]
    assert len(rows(ann, "?failed=1")) == 1
    assert len(rows(ann, "?since=2026-09-21&until=2026-09-21")) == 1
    assert len(rows(ann, "?since=2026-09-21&until=2026-09-22")) == 2
    assert len(rows(ann, "?text=smtp")) == 1
    assert "Nothing that was done fits this" in text_of(ann.get("/audit?target=nothing"))
    page = ann.get("/audit?actor=%22%3E%3Cscript%3E&text=%27").text
    assert "<script>" not in page
    assert "&#34;&gt;&lt;script&gt;" in page, "what was asked for stays in its field"
    for wrong in ("?since=yesterday", "?until=2026-02-30", "?until=9999-12-31", "?before=0", "?actor=" + "x" * 201):
        assert ann.get(f"/audit{wrong}").status_code == 422, wrong


def test_pages_lead_through_all_of_it(ann: Visitor) -> None:
    for number in range(60):
        log_of(ann).write(BOB, "queue.pause", f"queue-{number}")
    page = ann.get("/audit?action=queue")
    assert "data-live" in page.text
    older = re.search(r'<a href="([^"]+)" rel="next">', page.text)
    assert older is not None
    second = older[1].replace("&amp;", "&")
    assert second.startswith("/audit?action=queue&before=")
    assert len(rows(ann, second.removeprefix("/audit"))) == 10
    assert 'href="/audit?action=queue"' in ann.get(second).text, "and back to the newest"
    assert 'rel="next"' not in ann.get(second).text


def test_viewers_read_it(vic: Visitor) -> None:
    assert rows(vic) == ["0 s ago vic token session.begin 192.0.2.7 done"]
