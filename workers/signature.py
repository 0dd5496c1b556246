"""Signatures of webhooks, for both sides. Knows bytes and seconds, nothing of jobs or HTTP.

A receiver checks `Docroute-Signature: t=SECONDS,v1=HEX` so, before it parses the body:

    if not verify(secret, request.headers["Docroute-Signature"], raw_body, now=time.time()): answer 400

HEX is HMAC-SHA256 over the text `SECONDS.` followed by the raw body. While a secret is being replaced there are several
`v1=`, and one that fits is enough. A message may come twice: `event_id` in the body says which one it is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from pathlib import Path

from router.errors import SettingsError

HEADER = "Docroute-Signature"
STANDARD_PREFIX = b"whsec_"
_MIN_SECRET_BYTES = 16
_MAX_SIGNATURES = 8
_HEX = re.compile(r"[0-9a-f]{64}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """Return the header's value for a body sent at a time (seconds since the epoch)."""
    return sign_all((secret,), timestamp, body)


def sign_all(secrets: tuple[bytes, ...], timestamp: int, body: bytes) -> str:
    """Return the header's value with one signature for each secret, as needed while a secret is replaced."""
    return ",".join([f"t={timestamp}", *(f"v1={_digest(secret, timestamp, body)}" for secret in secrets)])


def verify(secret: bytes, header: str, body: bytes, now: float, window_s: float = 300) -> bool:
    """Return whether a header is a signature of this body with this secret, made within `window_s` of `now`.

    A message that is older (a replay), from the future, altered, or without a well-formed header gives False.
    """
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value for name, _, value in pairs if name == "v1" and _HEX.fullmatch(value)][:_MAX_SIGNATURES]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        return False
    timestamp = int(times[0])
    expected = _digest(secret, timestamp, body)
    matches = [hmac.compare_digest(expected, value) for value in given]
    return any(matches) and abs(now - timestamp) <= window_s


def standard_headers(secrets: tuple[bytes, ...], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of the Standard Webhooks specification (standardwebhooks.com), one signature for each secret.

    The key is what stands behind `whsec_` in base64, or the secret itself where it has no such prefix.
    """
    name = event_id.replace(".", "_")  # dots part what is signed
    signed = f"{name}.{timestamp}.".encode() + body
    digests = [hmac.new(standard_key(secret), signed, hashlib.sha256).digest() for secret in secrets]
    return {
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


def standard_key(secret: bytes) -> bytes:
    """Return the key of a secret by that specification; raise `SettingsError` where it is not base64."""
    if not secret.startswith(STANDARD_PREFIX):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except ValueError as exc:
        raise SettingsError("a webhook secret that begins with whsec_ must go on in base64") from exc


def read_secrets(file: str | None) -> tuple[bytes, ...]:
    """Return the secrets of a file, one a line, newest first; raise `SettingsError` when there is none to sign with."""
    if file is None:
        raise SettingsError("service.webhooks.secret_file is not set; webhooks are not sent without a signature")
    try:
        lines = Path(file).read_bytes().splitlines()
    except OSError as exc:
        raise SettingsError(f"cannot read service.webhooks.secret_file {file}: {exc.strerror}") from exc
    secrets = tuple(line.strip() for line in lines if line.strip())[:_MAX_SIGNATURES]
    if not secrets or min(len(standard_key(secret)) for secret in secrets) < _MIN_SECRET_BYTES:
        raise SettingsError(f"{file} must hold a secret of at least {_MIN_SECRET_BYTES} bytes; openssl rand -hex 32")
    return secrets


def _digest(secret: bytes, timestamp: int, body: bytes) -> str:
    return hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
