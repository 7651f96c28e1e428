"""Every way in which Kombu and Celery write where a Redis is comes to one address."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from umbel.engine.redis_address import is_redis, redis_url, shown
from umbel.errors import ConfigurationError

SENTINELS = "sentinel://:pw@one:26379/2;sentinel://two:26380;sentinel://three"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", "redis://localhost/0"),
        ("redis://h", "redis://h/0"),
        ("redis://user:p%40w@h:1/3", "redis://user:p%40w@h:1/3"),
        ("redis://h/db7", "redis://h/7"),
        ("rediss://h/0?ssl_cert_reqs=CERT_NONE", "rediss://h/0?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=3"),
        ("redis+socket:///run/redis.sock?virtual_host=/3", "unix:///run/redis.sock?db=3"),
        ("sentinel://a?master_name=shop", "sentinel://a/0?master_name=shop"),
        ("sentinel://u:p@a:1,b:2/3?master_name=shop", "sentinel://u:p@a:1,b:2/3?master_name=shop"),
    ],
)
def test_a_url_alone(url: str, expected: str) -> None:
    assert redis_url(url) == expected
    assert redis_url(expected) == expected, "what is an address already stays one"


def test_sentinels_as_kombu_writes_them() -> None:
    options = {"master_name": "shop", "sentinel_kwargs": {"password": "s/p"}, "visibility_timeout": 5}
    expected = "sentinel://:pw@one:26379,two:26380,three/2?master_name=shop&sentinel_password=s%2Fp"
    assert redis_url(SENTINELS, options) == expected
    assert redis_url(expected) == expected


def test_sentinels_without_a_master_are_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="master_name") as caught:
        redis_url(SENTINELS)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "use_ssl",
    [
        {"ssl_ca_certs": "/ca.pem", "ssl_cert_reqs": ssl.CERT_REQUIRED},
        {"ca_certs": "/ca.pem", "cert_reqs": "CERT_REQUIRED", "keyfile": None},
    ],
)
def test_broker_use_ssl_as_kombu_takes_it(use_ssl: dict[str, Any]) -> None:
    query = "?ssl_ca_certs=%2Fca.pem&ssl_cert_reqs=required"
    assert redis_url("redis://h", use_ssl=use_ssl) == f"rediss://h/0{query}"
    sentinel = redis_url("sentinel://h", {"master_name": "m"}, use_ssl)
    assert sentinel == f"sentinel://h/0?master_name=m&{query[1:]}&ssl=true"


def test_broker_use_ssl_may_be_just_true() -> None:
    assert redis_url("redis://h", use_ssl=True) == "rediss://h/0"


def test_what_is_shown_has_no_secret() -> None:
    url = "sentinel://user:secret1@a:1,b:2/0?master_name=m&sentinel_password=secret2&ssl_password=secret3"
    assert shown(url) == "sentinel://user:**@a:1,b:2/0"
    assert shown("sentinel://:secret@a;sentinel://:secret@b/0") == "sentinel://:**@a;sentinel://:**@b/0"
    assert shown("redis://:secret@h/1") == "redis://:**@h/1"
    assert shown("unix:///run/redis.sock?db=3") == "unix:///run/redis.sock"


@pytest.mark.parametrize(
    ("url", "served"),
    [
        ("redis://h", True),
        ("rediss://h", True),
        ("unix:///s", True),
        (SENTINELS, True),
        ("redis://a;redis://b", False),
        ("amqp://h", False),
        ("sqlite:////x", False),
        (None, False),
    ],
)
def test_which_urls_the_engine_serves(url: str | None, served: bool) -> None:
    assert is_redis(url) is served
