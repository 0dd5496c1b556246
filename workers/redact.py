"""URLs without their secrets, for logs and messages. Knows no protocol: what looks like a secret is taken out."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"
_SECRET = re.compile(
    r"pass|pwd|secret|token|sig|key|auth|cred|session|code|jwt|(^|[-_])(sid|sv|se|sp)$", flags=re.IGNORECASE
)
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_USER_INFO = re.compile(r"(?<=//)[^/?#]*@")


def redact_url(url: str) -> str:
    """Return a URL without user info, fragment and the values of secret query parameters; never raises."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _USER_INFO.sub("", re.split(r"[?#]", url, maxsplit=1)[0])
    place = parts.netloc.rpartition("@")[2]
    query = "&".join(_redacted_pair(pair) for pair in parts.query.split("&"))
    return urlunsplit((parts.scheme, place, parts.path, query, ""))


def redact_callback(url: str) -> str:
    """Return where a callback goes, with a short hash for path and query: whoever knows these may call it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"…{_short_hash(url)}"
    if parts.path in {"", "/"} and not parts.query:
        return redact_url(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…{_short_hash(url)}"


def redact_text(text: str) -> str:
    """Return a text with every URL in it redacted, for messages of other libraries."""
    return _IN_TEXT.sub(lambda match: redact_url(match.group()), text) if "://" in text else text


def hidden(text: str) -> str:
    """Return a text with every web address in it cut to its host, for what others wrote and many may read."""
    return _IN_TEXT.sub(lambda match: _hidden(match.group()), text) if "://" in text else text


def _hidden(url: str) -> str:
    return redact_callback(url) if url.lower().startswith("http") else redact_url(url)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:6]


def _redacted_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={HIDDEN}" if equals and _SECRET.search(name) else pair
