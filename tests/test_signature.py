"""Signatures of webhooks: who may rely on them, and for how long."""

import pytest

from router.errors import SettingsError
from workers.signature import read_secrets, sign, sign_all, verify

SECRET = b"0123456789abcdef0123456789abcdef"


def test_a_signature_fits_its_body_secret_and_time_only():
    header = sign(SECRET, 1_000_000, b"body")
    assert header.startswith("t=1000000,v1=")
    assert verify(SECRET, header, b"body", now=1_000_100)
    assert not verify(SECRET, header, b"bodY", now=1_000_100)
    assert not verify(b"another secret, long enough", header, b"body", now=1_000_100)
    assert not verify(SECRET, header.replace("t=1000000", "t=1000001"), b"body", now=1_000_100)


def test_an_old_or_future_message_is_refused():
    header = sign(SECRET, 1_000_000, b"body")
    assert verify(SECRET, header, b"body", now=1_000_300)
    assert not verify(SECRET, header, b"body", now=1_000_301)
    assert not verify(SECRET, header, b"body", now=999_699)
    assert verify(SECRET, header, b"body", now=1_000_900, window_s=1000)


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=", "t=,v1=", "t=x,v1=ab", "t=1,t=2,v1=ab", "t=-1,v1=ab", "nonsense", ",,=,", "t=1e5,v1=é",
               "t=" + "9" * 5000]
)  # fmt: skip
def test_malformed_headers_are_refused(header):
    assert not verify(SECRET, header, b"body", now=1)


def test_while_a_secret_is_replaced_both_fit(tmp_path):
    new = b"fedcba9876543210fedcba9876543210"
    (tmp_path / "secret").write_bytes(new + b"\r\n" + SECRET + b"\n\n")
    header = sign_all(read_secrets(str(tmp_path / "secret")), 5, b"body")
    assert verify(new, header, b"body", now=5)
    assert verify(SECRET, header, b"body", now=5)


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", SECRET + b"\nshort\n", None])
def test_a_secret_that_protects_nothing_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_secrets(str(tmp_path / "secret"))
    assert "short" not in str(caught.value)


def test_other_tools_compute_the_same_signature():
    # printf '1000000.body' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    digest = "e2a6e548c86fdc6ca3194ff1743d5693de8bd3dc2146d4f772cfa976d34973be"
    assert sign(SECRET, 1_000_000, b"body") == f"t=1000000,v1={digest}"
