"""Files with one secret, and the one that the embedded server's password is kept in. Knows no connection.

`docroute up` gives its server a password and keeps it in the working folder, as it does the originals; whoever works in
that folder finds it there, by the port. A setting that says something of a user or password is left as it is.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from router.errors import SettingsError
from workers.service_settings import BrokerSettings

FOLDER = Path(".docroute")
DEFAULT_PORT = 6379


def password_file(broker: BrokerSettings) -> Path | None:
    """Return the file with the broker's password: the one that is set, else that of `docroute up` if there is one."""
    if broker.password_file is not None:
        return Path(broker.password_file)
    found = own_password_file(broker, FOLDER)
    return found if found is not None and found.is_file() else None


def own_password_file(broker: BrokerSettings, folder: Path) -> Path | None:
    """Return where the password of an embedded server is kept; None where the URL is of no such server or has one."""
    parts = urlsplit(broker.url)
    if parts.scheme != "redis" or "@" in parts.netloc or broker.username is not None:
        return None
    return folder / f"valkey-{parts.port or DEFAULT_PORT}.password" if is_loopback(parts.hostname or "") else None


def read_secret(path: Path, setting: str) -> str:
    """Return a secret without the white space around it; raise `SettingsError`, never quoting it."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"cannot read {setting} {path}: {exc}") from exc
    if not text:
        raise SettingsError(f"{setting} {path} is empty")
    return text


def write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner may read, whole or not at all; one that is there is kept.

    Raises `SettingsError`.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(new, "x", encoding="ascii", opener=_for_owner) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(new, path)
    except OSError as exc:
        raise SettingsError(f"cannot write {path}: {exc.strerror}") from exc
    finally:
        new.unlink(missing_ok=True)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
