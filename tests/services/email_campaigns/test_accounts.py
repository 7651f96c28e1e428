"""Registration and password reset, and that a token never leaves the mail."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from sqlalchemy import select, text

from services.demo.mailbox import Mailbox
from services.email_campaigns import database
from services.email_campaigns.accounts import BadToken, password_fits, set_password
from services.email_campaigns.models import Base, Mail, PasswordReset, User
from services.email_campaigns.tasks import send_mail
from tests.services.email_campaigns.conftest import Configure

Dispatched = list[tuple[str, tuple[object, ...], dict[str, object]]]

ADA = {"email": "Ada@Example.Test", "name": "Ada", "password": "correct horse"}


def test_registration_sends_one_welcome_mail(
    client: httpx.Client, dispatched: Dispatched, mail_server: Mailbox
) -> None:
    answer = client.post("/register", json=ADA)
    assert (answer.status_code, answer.json()["email"]) == (201, "ada@example.test")
    ((name, args, options),) = dispatched
    assert (name, options) == ("send_mail", {"priority": 6})
    send_mail.apply(args, task_id="job")
    assert mail_server.newest()[0].subject == "Welcome, Ada"


def test_an_address_registers_once(client: httpx.Client, dispatched: Dispatched) -> None:
    client.post("/register", json=ADA)
    assert client.post("/register", json=ADA | {"email": "ADA@example.test"}).status_code == 409
    assert len(dispatched) == 1


@pytest.mark.parametrize("change", [{"email": "ada"}, {"password": "short"}, {"name": ""}, {"name": "x" * 101}])
def test_bad_registrations_are_422(client: httpx.Client, dispatched: Dispatched, change: dict[str, str]) -> None:
    assert client.post("/register", json=ADA | change).status_code == 422
    assert dispatched == []


def test_the_password_is_kept_as_a_hash(client: httpx.Client, dispatched: Dispatched) -> None:
    client.post("/register", json=ADA)
    with database.reading() as session:
        user = session.scalars(select(User)).one()
    assert "correct horse" not in user.password
    assert password_fits(user, "correct horse")
    assert not password_fits(user, "correct house")


def test_the_reset_token_is_in_the_mail_and_nowhere_else(
    client: httpx.Client, dispatched: Dispatched, mail_server: Mailbox
) -> None:
    """C43: not in the job's arguments, and only its hash in the database."""
    client.post("/register", json=ADA)
    assert client.post("/password-reset", json={"email": "ada@example.test"}).status_code == 202
    _, args, options = dispatched[-1]
    assert options == {"priority": 9}
    assert all(isinstance(value, int) for value in args)
    send_mail.apply(args, task_id="job")
    token = _token_in(mail_server)
    assert token not in _whole_database()
    assert client.post("/password-reset/confirm", json={"token": token, "password": "a new one"}).status_code == 204
    with database.reading() as session:
        assert password_fits(session.scalars(select(User)).one(), "a new one")
    again = client.post("/password-reset/confirm", json={"token": token, "password": "another one"})
    assert again.status_code == 400


def test_each_mail_replaces_the_token_of_the_one_before(
    client: httpx.Client, dispatched: Dispatched, mail_server: Mailbox
) -> None:
    client.post("/register", json=ADA)
    tokens = []
    for _ in range(2):
        client.post("/password-reset", json={"email": "ada@example.test"})
        send_mail.apply(dispatched[-1][1], task_id="job")
        tokens.append(_token_in(mail_server))
    with pytest.raises(BadToken):
        set_password(tokens[0], "a new one")
    set_password(tokens[1], "a new one")


def test_a_token_ends_with_its_time(client: httpx.Client, dispatched: Dispatched, mail_server: Mailbox) -> None:
    client.post("/register", json=ADA)
    client.post("/password-reset", json={"email": "ada@example.test"})
    send_mail.apply(dispatched[-1][1], task_id="job")
    with database.writing() as session:
        session.scalars(select(PasswordReset)).one().expires -= 3601
    with pytest.raises(BadToken):
        set_password(_token_in(mail_server), "a new one")


def test_nobody_learns_who_is_registered_or_floods_a_mailbox(client: httpx.Client, dispatched: Dispatched) -> None:
    client.post("/register", json=ADA)
    answers = [
        client.post("/password-reset", json={"email": email})
        for email in ("eve@example.test", "ada@example.test", "ada@example.test")
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"null")}
    assert [name for name, _, _ in dispatched] == ["send_mail"] * 2


def test_the_link_leads_to_a_page(client: httpx.Client, configure: Configure) -> None:
    answer = client.get("/password-reset")
    assert (answer.status_code, "Set a new password" in answer.text) == (200, True)


def _token_in(mailbox: Mailbox) -> str:
    message = mailbox.read(mailbox.newest()[0].id)
    assert message is not None
    body = message.get_body(("plain",))
    assert body is not None
    found = re.search(r"/password-reset#token=([\w-]+)", body.get_content())
    assert found is not None
    return found[1]


def _whole_database() -> str:
    with database.reading() as session:
        tables = [session.execute(text(f'SELECT * FROM "{name}"')).all() for name in Base.metadata.tables]
        assert session.scalars(select(Mail)).first() is not None
    return json.dumps(tables, default=str)
