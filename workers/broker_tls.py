"""TLS to the broker: the options that both clients are given, redis-py and kombu, so that both verify the same.

Told nothing, kombu takes any certificate and only warns. Knows no command and no queue.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from router.errors import SettingsError
from workers.service_settings import BrokerSettings

TLS_SCHEMES = ("rediss", "sentinels")
_MOST_CAUSES = 10
_NO_TLS = "does not answer the TLS handshake; if it speaks no TLS, write redis:// in broker.url"
_FILES = ("ca_file", "certificate_file", "key_file")


def uses_tls(broker: BrokerSettings) -> bool:
    """Return whether the URL asks for TLS."""
    return urlsplit(broker.url).scheme in TLS_SCHEMES


def tls_options(broker: BrokerSettings) -> dict[str, Any]:
    """Return `ssl_*` options for redis-py and for kombu's `broker_use_ssl`, empty without TLS; raise `SettingsError`.

    Certificate and host name are verified, always: by the system's authorities and that of `ca_file`.
    """
    _check_settings(broker)
    if not uses_tls(broker):
        return {}
    _check_files(broker)
    options = {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": broker.ca_file,
        "ssl_certfile": broker.certificate_file,
        "ssl_keyfile": broker.key_file,
    }
    return {name: value for name, value in options.items() if value is not None}


def tls_problem(exc: BaseException) -> str | None:
    """Return what was wrong between both ends, to be read after the server's address; None for other errors."""
    causes = _causes(exc)
    if any("handshake operation timed out" in str(cause) for cause in causes):
        return _NO_TLS  # Redis waits for the rest of what it takes for a command
    error = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if error is None:
        return None
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"shows a certificate that is not trusted ({error.verify_message.rstrip('.')}); check broker.ca_file"
    reason = str(error.reason or error)
    if "WRONG_VERSION" in reason or "RECORD_LAYER" in reason:
        return _NO_TLS
    if "ALERT" in reason:
        return f"refused this side's certificate ({reason}); check broker.certificate_file and broker.key_file"
    return None


def _check_settings(broker: BrokerSettings) -> None:
    named = [name for name in _FILES if getattr(broker, name) is not None]
    if named and not uses_tls(broker):
        raise SettingsError(
            f"broker.{named[0]} is set, but broker.url asks for no TLS; write rediss:// or sentinels://"
        )
    if broker.key_file is not None and broker.certificate_file is None:
        raise SettingsError("broker.key_file is set without broker.certificate_file")
    # both clients believe the URL more than what they are told
    if any(name.startswith("ssl") for name, _ in parse_qsl(urlsplit(broker.url).query, keep_blank_values=True)):
        raise SettingsError("broker.url may say nothing of TLS but rediss://; name a CA of your own in broker.ca_file")


def _check_files(broker: BrokerSettings) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if broker.ca_file is not None:
        _load("ca_file", broker.ca_file, lambda: context.load_verify_locations(broker.ca_file))
    certificate, key = broker.certificate_file, broker.key_file
    if certificate is not None:
        if key is not None:
            _load("key_file", key, lambda: Path(key).open("rb").close())
        # without a function for its passphrase, an encrypted key is asked about on the terminal
        _load(
            "certificate_file", certificate, lambda: context.load_cert_chain(certificate, key, password=_no_passphrase)
        )


def _no_passphrase() -> str:
    raise ValueError("the key must have no passphrase")


def _load(setting: str, path: str, load: Any) -> None:
    try:
        load()
    except ssl.SSLError as exc:
        why = exc.reason or "no certificate in it"
        raise SettingsError(f"broker.{setting} {path} cannot be used: it holds no usable PEM ({why})") from exc
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise SettingsError(f"broker.{setting} {path} cannot be used: {why}") from exc


def _causes(exc: BaseException | None) -> list[BaseException]:
    """Return an error and what it came from, the last one first."""
    found: list[BaseException] = []
    while exc is not None and len(found) < _MOST_CAUSES:
        found.append(exc)
        exc = exc.__cause__ or exc.__context__
    return found
