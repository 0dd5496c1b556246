"""Documents over HTTPS: hosts, addresses, certificates, redirects, time and size; a real server on loopback."""

import contextlib
import socket
import ssl

import pytest
import trustme
from http_receiver import HttpReceiver, Reply, http_receiver

from router.documents import Limits
from router.errors import LimitExceededError, SourceError, SourceUnavailableError
from workers.addresses import is_public, parse_target
from workers.outbound import Outbound
from workers.service_settings import SourceSettings
from workers.sources import fetch

SMALL = Limits(max_bytes=1000)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def server_tls(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def web(authority):
    with http_receiver(server_tls(authority, "localhost", "docs.example")) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def outbound(client_tls):
    return Outbound(allow_private=True, tls=client_tls)


def from_web(web: HttpReceiver, outbound, uri=None, hosts=None, timeout_s=10.0, limits=SMALL):
    settings = SourceSettings(https_hosts=hosts or (web.host,), timeout_s=timeout_s)
    return fetch(uri or web.url("/a.pdf?x=1"), settings, limits, outbound)


def test_a_document_of_a_listed_host_is_read(web, outbound):
    web.always = Reply(body=b"%PDF")
    assert from_web(web, outbound) == b"%PDF"
    (request,) = web.received
    assert (request.method, request.path) == ("GET", "/a.pdf?x=1")
    assert request.headers["host"] == web.host
    assert "authorization" not in request.headers


def test_a_host_that_is_not_listed_is_never_called(web, outbound):
    for hosts in (("localhost",), (f"localhost:{web.port + 1}",), ("example.com",), (f"evil.{web.host}",)):
        with pytest.raises(SourceError, match=r"is not among service\.sources\.https_hosts"):
            from_web(web, outbound, hosts=hosts)
    assert web.received == []


def test_the_address_is_checked_by_default(web, client_tls):
    with pytest.raises(SourceError, match="not public") as caught:
        from_web(web, Outbound(tls=client_tls))
    assert not caught.value.retryable
    assert web.received == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(web, client_tls):
    outbound = Outbound(tls=client_tls, resolve=lambda host, port: ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(SourceError, match="not public"):
        from_web(web, outbound)


def test_the_checked_address_is_the_one_connected_to(web, client_tls):
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    outbound = Outbound(allow_private=True, tls=client_tls, resolve=resolve)
    place = f"docs.example:{web.port}"
    assert from_web(web, outbound, f"https://{place}/a", (place,)) == b"ok"
    assert asked == ["docs.example"]
    assert web.received[0].headers["host"] == place


def test_the_certificate_must_fit_the_name(web, client_tls, outbound):
    elsewhere = Outbound(allow_private=True, tls=client_tls, resolve=lambda host, port: ["127.0.0.1"])
    place = f"other.example:{web.port}"
    with pytest.raises(SourceUnavailableError, match="certificate"):
        from_web(web, elsewhere, f"https://{place}/a", (place,))
    with pytest.raises(SourceUnavailableError, match="certificate"):
        from_web(web, Outbound(allow_private=True))
    assert web.received == []


def test_a_redirect_is_followed_to_listed_hosts_only(web, outbound):
    web.pages["/a"] = Reply(302, headers={"Location": "/b"})
    web.pages["/b"] = Reply(body=b"moved")
    assert from_web(web, outbound, web.url("/a")) == b"moved"
    for location in (
        "https://169.254.169.254/latest",
        "http://" + web.host,
        "https://example.com/",
        "file:///etc/passwd",
    ):
        web.pages["/a"] = Reply(302, headers={"Location": location})
        with pytest.raises(SourceError):
            from_web(web, outbound, web.url("/a"))


def test_redirects_end(web, outbound):
    web.always = Reply(307, headers={"Location": "/again"})
    with pytest.raises(SourceError, match="redirects more than"):
        from_web(web, outbound)
    assert len(web.received) == 4


@pytest.mark.parametrize(
    ("status", "retryable"), [(404, False), (403, False), (204, False), (206, False), (503, True), (429, True)]
)
def test_statuses_are_told_apart(web, outbound, status, retryable):
    web.always = Reply(status, body=b"")
    with pytest.raises(SourceError, match=f"answered {status}") as caught:
        from_web(web, outbound)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("announced", [None, 5000])
def test_a_large_document_is_refused(web, outbound, announced):
    web.always = Reply(body=bytes(200_000), announced=announced)
    with pytest.raises(LimitExceededError):
        from_web(web, outbound)


@pytest.mark.parametrize(
    "reply",
    [Reply(drop=True), Reply(body=b"half", announced=100), Reply(delay_s=15), Reply(body=bytes(900), drip_s=0.2),
     Reply(header_drip_s=0.1)],
    ids=["dropped", "cut off", "slow to begin", "a byte at a time", "endless headers"],
)  # fmt: skip
def test_a_source_that_fails_or_dawdles_is_worth_a_retry(web, outbound, reply):
    web.always = reply
    with pytest.raises(SourceUnavailableError):
        from_web(web, outbound, timeout_s=1.0)


def test_a_closed_port_is_worth_a_retry(web, outbound):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        place = f"localhost:{server.getsockname()[1]}"
    with pytest.raises(SourceUnavailableError, match="no connection"):
        from_web(web, outbound, f"https://{place}/", (place,))


def test_compression_that_was_not_asked_for_is_refused(web, outbound):
    web.always = Reply(headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceError, match="compressed"):
        from_web(web, outbound)


def test_credentials_are_refused_and_not_repeated(web, outbound):
    with pytest.raises(SourceError) as caught:
        from_web(web, outbound, f"https://me:hunter2@{web.host}/a?token=abc123")
    assert "hunter2" not in str(caught.value)
    assert "abc123" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["https://", "https://a b/", "https://a\t.b/", "https://h\\@x/", "https://h:99999/", "https://h:x/", "https://[::1",
     "https://[fe80::1%25eth0]/", "https://a..b/", "https://h/\r\nX: 1", "https://h/" + "x" * 5000, "https://h<>/",
     "https://u@h/", "ftp://h/"],
)  # fmt: skip
def test_unusual_urls_are_refused(url):
    with pytest.raises(ValueError, match="it"):
        parse_target(url)


def test_a_url_is_taken_apart_once():
    target = parse_target("HTTPS://Bücher.Example.:443/ä b?q=ü#frag".replace(" ", "%20"))
    assert (target.host, target.port) == ("xn--bcher-kva.example", 443)
    assert target.resource == "/%C3%A4%20b?q=%C3%BC"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "255.255.255.255", "224.0.0.1", "240.0.0.1",
     "168.63.129.16", "192.0.0.192", "::1", "::", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "::127.0.0.1",
     "ff02::1", "fec0::1", "nonsense"],
)  # fmt: skip
def test_addresses_inside_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_outside_are_public(address):
    assert is_public(address)
