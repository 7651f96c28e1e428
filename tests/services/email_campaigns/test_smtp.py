"""What the mail server does, and what the service makes of it: again, never, or nobody knows (C27)."""

from __future__ import annotations

import socket
from email.message import EmailMessage

import pytest

from services.email_campaigns.rendering import compose
from services.email_campaigns.smtp import Refused, TryLater, Unanswered, close, deliver
from tests.services.email_campaigns.conftest import Configure
from tests.services.email_campaigns.faulty_smtp import serving


def a_message(text: str = "Hello.\n.\n..dots\n") -> EmailMessage:
    return compose(to="ada@example.test", subject="Hi", text=text, html="", message_id="one")


@pytest.mark.parametrize(
    "fault",
    [
        "greeting 421",
        "drop at greeting",
        "silent at greeting",
        "sender 451",
        "recipient 451",
        "data 452",
        "drop at data",
        "end 451",
    ],
)
def test_c27_nothing_was_delivered_so_it_is_tried_again(configure: Configure, fault: str) -> None:
    with serving(fault) as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}", smtp_timeout=0.3)
        with pytest.raises(TryLater):
            deliver(a_message())
        deliver(a_message())
        close()
    assert len(server.delivered) == 1


@pytest.mark.parametrize("fault", ["greeting 554", "recipient 550", "end 554"])
def test_c27_a_5xx_is_never_tried_again(configure: Configure, fault: str) -> None:
    with serving(fault) as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        with pytest.raises(Refused, match=r"answered 55[04]"):
            deliver(a_message())
        close()
    assert server.delivered == []


@pytest.mark.parametrize("fault", ["drop after end", "silent after end"])
def test_c27_no_answer_to_a_whole_message_is_uncertain(configure: Configure, fault: str) -> None:
    with serving(fault) as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}", smtp_timeout=0.3)
        with pytest.raises(Unanswered):
            deliver(a_message())


def test_c27_a_drop_in_the_middle_of_a_long_message_is_tried_again(configure: Configure) -> None:
    """The body does not fit into the sockets' buffers, so its end cannot have left."""
    with serving("drop in body") as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        with pytest.raises(TryLater, match="before the message was complete"):
            deliver(a_message("many words\n" * 2_000_000))


def test_c27_a_server_that_is_down_is_tried_again(configure: Configure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    configure(smtp_url=f"smtp://127.0.0.1:{port}")
    with pytest.raises(TryLater, match="could not be reached"):
        deliver(a_message())


def test_the_connection_is_used_again_and_renewed_when_the_server_has_closed_it(configure: Configure) -> None:
    with serving() as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        deliver(a_message())
        deliver(a_message())
        assert server.connections == 1
        server.faults = ["drop at data"]
        with pytest.raises(TryLater):
            deliver(a_message())
        deliver(a_message())
        assert server.connections == 2
        close()
    assert len(server.delivered) == 3


def test_a_slow_server_is_waited_for(configure: Configure) -> None:
    with serving("slow at end") as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}", smtp_timeout=10)
        deliver(a_message())
        close()
    assert len(server.delivered) == 1


def test_a_connection_that_the_server_closed_meanwhile_costs_no_attempt(configure: Configure) -> None:
    with serving("close after end") as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        deliver(a_message())
        deliver(a_message())
        close()
    assert (server.connections, len(server.delivered)) == (2, 2)


def test_a_refused_mail_leaves_the_connection_usable(configure: Configure) -> None:
    with serving("recipient 550", "end 554") as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        for _ in range(2):
            with pytest.raises(Refused):
                deliver(a_message())
        deliver(a_message())
        close()
    assert (server.connections, len(server.delivered)) == (1, 1)


def test_a_lone_dot_does_not_end_the_message(configure: Configure) -> None:
    with serving() as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        deliver(a_message("first\n.\nlast\n"))
        close()
    assert server.delivered[0].endswith(b"\r\nfirst\r\n..\r\nlast\r\n")
