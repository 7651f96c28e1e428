"""C14, C45: Redis over TLS, with certificates on both sides, and over a socket file."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.conftest import need_program
from tests.integration.on_redis.server import Server
from tests.integration.worker.plant import planted, until
from umbel import JobState, Umbel
from umbel.engine.redis_connect import connect
from umbel.errors import StoreUnreachable


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA, and certificates by it for a server and a client."""
    folder = tmp_path_factory.mktemp("certificates")
    openssl = need_program("openssl")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        run(
            "req",
            "-x509",
            *curve,
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
        )
    for name in ("server", "client"):
        run("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


@pytest.fixture
def server(tmp_path: Path, certificates: Path) -> Iterator[Server]:
    files = {f"tls_{kind}_file": str(certificates / name) for kind, name in
             (("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "ca.pem"))}  # fmt: skip
    with Server(tmp_path / "redis", tls=True, **files) as server:
        yield server


def options(certificates: Path, ca: str = "ca.pem") -> dict[str, str]:
    files = {"ca_certs": ca, "certfile": "client.pem", "keyfile": "client.key"}
    return {f"ssl_{name}": str(certificates / file) for name, file in files.items()}


def test_workers_and_clients_over_tls_with_certificates_on_both_sides(
    tmp_path: Path, server: Server, certificates: Path
) -> None:
    query = urlencode({**options(certificates), "ssl_cert_reqs": "CERT_REQUIRED"})
    (tmp_path / "plant").mkdir()
    with planted(tmp_path / "plant", f"rediss://127.0.0.1:{server.port}/3?{query}") as plant:
        plant.start()
        assert plant.ended(plant.send("say", "hidden")).state is JobState.SUCCEEDED
        assert plant.app.control.ping(timeout=60, limit=1)
        plant.app.engine.open_lease("here@test", ["other"], 1)
        assert plant.app.engine.fetch({"other": 0}, 1) == []
        # A notice comes through the encryption as well.
        plant.send("say", "for here", queue="other")
        until(lambda: plant.app.engine.wait(1.0) and plant.app.engine.fetch({"other": 0}, 1), "a message")


def test_broker_use_ssl_is_celerys(server: Server, certificates: Path) -> None:
    app = Umbel("shop", broker=f"redis://127.0.0.1:{server.port}/0", set_as_current=False)
    app.conf.broker_use_ssl = {**options(certificates), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    app.send_task("shop.greet")
    assert [queue.ready for queue in app.engine.queues()] == [1]
    assert app.connection().as_uri() == f"rediss://127.0.0.1:{server.port}/0"
    app.engine.close()
    app.close()


def test_a_server_whose_certificate_is_anothers_is_not_talked_to(server: Server, certificates: Path) -> None:
    query = urlencode(options(certificates, ca="other.pem"))
    app = Umbel("shop", broker=f"rediss://127.0.0.1:{server.port}/0?{query}", set_as_current=False)
    with pytest.raises(StoreUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        app.engine.check()
    app.engine.close()
    app.close()


def test_a_socket_file_and_another_database(tmp_path: Path) -> None:
    socket = tmp_path / "redis" / "redis.sock"
    url = f"unix://{socket}?db=3"
    with Server(tmp_path / "redis", unixsocket=str(socket)):
        app = Umbel("shop", broker=url, set_as_current=False)
        app.send_task("shop.greet")
        with connect(url) as client:
            assert client.llen("celery") == 1
            assert client.connection_pool.connection_kwargs["db"] == 3
        app.engine.close()
        app.close()
