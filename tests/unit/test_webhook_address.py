"""C37: which addresses a webhook may reach, however they are written."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.errors import AddressRefused
from umbel.jobs.webhook_address import Allowed, checked_url, is_public, shown_url

PRIVATE = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "3fff::1",
    "2001:20::1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
]
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
)

V4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)


@pytest.mark.parametrize("text", PRIVATE)
def test_c37_what_is_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))
    with pytest.raises(AddressRefused, match="not public"):
        Allowed().judge("a.example", text)
    with pytest.raises(AddressRefused):
        Allowed().judge("a.example", f"{text}%eth0")


@pytest.mark.parametrize("text", PUBLIC)
def test_c37_what_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))
    Allowed().judge("a.example", text)


@given(V4)
def test_c37_an_ipv4_address_is_judged_alike_in_all_its_forms(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    assert is_public(ipaddress.IPv6Address((0xFFFF << 32) | number)) == is_public(address)
    assert is_public(ipaddress.IPv6Address((0x64FF9B << 96) | number)) == is_public(address)
    assert not is_public(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(address)


@given(V6)
def test_c37_of_ipv6_only_what_is_routed(address: ipaddress.IPv6Address) -> None:
    if is_public(address):
        inner = address.ipv4_mapped is not None or address in ipaddress.ip_network("64:ff9b::/96")
        assert inner or (address in ipaddress.ip_network("2000::/3") and address.is_global)


@given(V4 | V6)
def test_c37_a_network_that_is_allowed_is_allowed_and_no_other(address: Any) -> None:
    network = ipaddress.ip_network((address, address.max_prefixlen - 8), strict=False)
    Allowed([str(network)]).judge("a.example", str(address))
    elsewhere = ipaddress.ip_address(int(address) ^ (1 << (address.max_prefixlen - 1)))
    if not is_public(elsewhere):
        with pytest.raises(AddressRefused):
            Allowed([str(network)]).judge("a.example", str(elsewhere))


def test_c37_a_host_is_allowed_by_its_name() -> None:
    allowed = Allowed(["Hooks.internal", "10.1.0.0/16"])
    allowed.judge("hooks.INTERNAL.", "10.0.0.1")
    allowed.judge("other.internal", "10.1.2.3")
    allowed.judge("other.internal", "::ffff:10.1.2.3")
    for host, address in (("other.internal", "10.0.0.1"), ("x.hooks.internal", "10.0.0.1")):
        with pytest.raises(AddressRefused, match=rf"^{host} is 10\.0\.0\.1, .*UMBEL_WEBHOOK_ALLOW"):
            allowed.judge(host, address)


@pytest.mark.parametrize("url", ["https://a.example/x?y=1", "http://a.example:8080", "http://[2606:4700::1111]/"])
def test_c37_what_can_be_sent_to(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://a.example/", "http://", "file:///etc/passwd", "//a.example/", "http://a.example:0/",
        "http://a.example:99999/", "http://a b/", "http://a.example/\n", "https://user:pw@a.example/",
        "http://ä.example/", "http://" + "a" * 3000, None, 7, b"http://a/",
    ],
)  # fmt: skip
def test_c37_what_is_no_url_to_send_to_is_refused(url: Any) -> None:
    with pytest.raises(AddressRefused):
        checked_url(url)


@given(st.text(max_size=50))
def test_c37_any_text_is_a_url_or_refused(text: str) -> None:
    with contextlib.suppress(AddressRefused):
        assert checked_url(text) == text


def test_c43_a_query_is_not_logged() -> None:
    assert shown_url("https://a.example:1/b?token=secret#x") == "https://a.example:1/b"
