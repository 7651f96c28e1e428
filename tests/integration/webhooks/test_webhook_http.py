"""C37: a webhook reaches nobody on our own network, by whatever name, redirect or second answer, and ends in time."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.worker.receiver import Heard, Receiver, Says
from umbel.errors import AddressRefused, WebhookFailed
from umbel.jobs.webhook_address import Allowed
from umbel.jobs.webhook_http import Answer, Post

Receive = Callable[..., Receiver]
HERE = Allowed(["127.0.0.1"])


@pytest.fixture
def receive() -> Iterator[Receive]:
    made: list[Receiver] = []

    def start(*answers: Says, **options: object) -> Receiver:
        left = list(answers)

        def says(heard: Heard) -> Says:
            return left.pop(0) if left else (200, {})

        made.append(Receiver(says, **options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_c37_what_is_sent(receive: Receive) -> None:
    receiver = receive((204, {"Retry-After": "7"}))
    answer = Post(HERE).send(f"{receiver.url}/x?y=1", b'{"a":1}', {"webhook-id": "m"})
    assert answer == Answer(204, "7")
    (heard,) = receiver.heard
    assert (heard.path, heard.body, heard.headers["webhook-id"]) == ("/x?y=1", b'{"a":1}', "m")
    assert heard.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433", "0x7f.1"],  # noqa: S104
)
def test_c37_this_machine_is_refused_however_it_is_written(receive: Receive, host: str) -> None:
    receiver = receive()
    with pytest.raises((AddressRefused, WebhookFailed)) as caught:
        Post(Allowed(), timeout=5).send(f"http://{host}:{receiver.port}/", b"{}", {})
    assert receiver.heard == []
    if caught.type is WebhookFailed:
        assert "ConnectError" in str(caught.value), "no name server knows it here"


def test_c37_the_environments_proxy_is_not_used(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver, proxy = receive(), receive()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    assert Post(HERE).send(receiver.url, b"{}", {}).status == 200
    assert proxy.heard == []


def test_c37_a_redirect_to_a_private_address_is_refused(receive: Receive) -> None:
    secret = receive(host="127.0.0.2")
    first = receive((307, {"Location": f"http://127.0.0.2:{secret.port}/"}))
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.2"):
        Post(HERE).send(first.url, b"{}", {})
    assert (len(first.heard), secret.heard) == (1, [])
    for target in ("file:///etc/passwd", "gopher://127.0.0.1/", "http://user:pw@127.0.0.1/"):
        with pytest.raises(AddressRefused):
            Post(HERE).send(receive((308, {"Location": target})).url, b"{}", {})


def test_c37_redirects_are_followed_with_the_body_and_not_for_ever(receive: Receive) -> None:
    target = receive()
    first = receive((308, {"Location": f"{target.url}/there"}))
    assert Post(HERE).send(first.url, b"body", {"webhook-id": "m"}).status == 200
    (heard,) = target.heard
    assert (heard.path, heard.body, heard.headers["webhook-id"]) == ("/there", b"body", "m")
    circle = receive(*[(307, {"Location": "/again"})] * 9)
    assert Post(HERE).send(circle.url, b"", {}).status == 307
    assert len(circle.heard) == 4
    moved = receive((302, {"Location": target.url}))
    assert Post(HERE).send(moved.url, b"", {}).status == 302
    assert len(target.heard) == 1


def test_c37_another_answer_of_the_name_server_changes_nothing(receive: Receive) -> None:
    """The name is asked for once, and the connection goes to what was judged."""
    receiver = receive()
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "10.0.0.1"]]
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    post = Post(HERE, resolve=resolve)
    url = f"http://rebound.example:{receiver.port}/"
    assert post.send(url, b"", {}).status == 200
    assert receiver.heard[0].headers["host"] == f"rebound.example:{receiver.port}"
    assert asked == ["rebound.example"]
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.2"):
        post.send(url, b"", {})
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        post.send(url, b"", {})
    assert len(receiver.heard) == 1


def test_c37_the_next_address_of_a_name_is_tried(receive: Receive) -> None:
    receiver = receive()
    post = Post(Allowed(["127.0.0.0/8"]), resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"])
    assert post.send(f"http://a.example:{receiver.port}/", b"", {}).status == 200


def test_c37_a_name_that_nobody_knows_is_tried_again_later() -> None:
    with pytest.raises(WebhookFailed, match="ConnectError") as caught:
        Post(Allowed(), timeout=5).send("http://nobody.invalid/hook?token=secret", b"", {})
    assert not caught.value.final
    assert "secret" not in str(caught.value)


def test_c37_the_real_resolver(receive: Receive) -> None:
    receiver = receive()
    assert Post(Allowed(["localhost"])).send(f"http://localhost:{receiver.port}/", b"", {}).status == 200


def test_c37_one_that_answers_a_byte_now_and_then_ends_in_time() -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                with contextlib.suppress(OSError):
                    for _ in range(600):
                        if ended.wait(0.05):
                            break
                        connection.sendall(b"y")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(WebhookFailed, match="ReadTimeout"):
                Post(HERE, timeout=0.5).send(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x" * 200_000])
def test_c37_what_is_no_answer_is_a_failure(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def say() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                with contextlib.suppress(OSError):
                    connection.sendall(answer)

        thread = threading.Thread(target=say)
        thread.start()
        with pytest.raises(WebhookFailed):
            Post(HERE, timeout=30).send(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
        thread.join()


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for hooks.example, and its key, in one file; whoever trusts it, trusts itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("hooks.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "hooks.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def secure(certificate: Path, receive: Receive, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Receiver]:
    def start(*answers: Says) -> Receiver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        return receive(*answers, tls=context)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return start


def test_c37_tls_verifies_the_name_at_the_address_that_was_judged(secure: Callable[..., Receiver]) -> None:
    receiver = secure()
    post = Post(HERE, resolve=lambda host, port: ["127.0.0.1"])
    assert post.send(f"https://hooks.example:{receiver.port}/", b"{}", {}).status == 200
    for host in ("other.example", "127.0.0.1"):
        with pytest.raises(WebhookFailed, match="CERTIFICATE_VERIFY_FAILED"):
            post.send(f"https://{host}:{receiver.port}/", b"{}", {})
    assert len(receiver.heard) == 1


def test_c37_a_certificate_of_nobody_we_know_is_refused(
    secure: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = secure()
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(WebhookFailed, match="CERTIFICATE_VERIFY_FAILED"):
        Post(HERE, resolve=lambda host, port: ["127.0.0.1"]).send(f"https://hooks.example:{receiver.port}/", b"", {})


def test_c37_no_redirect_leads_from_https_to_http(secure: Callable[..., Receiver], receive: Receive) -> None:
    plain = receive()
    receiver = secure((307, {"Location": f"http://127.0.0.1:{plain.port}/"}))
    with pytest.raises(WebhookFailed, match="from https: to http:") as caught:
        Post(HERE, resolve=lambda host, port: ["127.0.0.1"]).send(f"https://hooks.example:{receiver.port}/", b"", {})
    assert caught.value.final
    assert plain.heard == []
