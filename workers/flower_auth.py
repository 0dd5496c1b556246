"""The credentials of the live view: a file with one `user:password` a line. Knows no HTTP."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from router.errors import SettingsError
from workers.secret_files import is_loopback, write_secret
from workers.service_settings import FlowerSettings

OWN_FILE = "flower_auth"
OWN_USER = "operator"
_SHORTEST_PASSWORD = 8


def credentials_file(settings: FlowerSettings, folder: Path) -> Path:
    """Return the file with the credentials, made in `folder` where none is set; raise `SettingsError`.

    None is made for a host beyond this machine: whoever opens it to a network chooses who may look.
    """
    if settings.auth_file is not None:
        return Path(settings.auth_file)
    if not is_loopback(settings.host):
        raise SettingsError(
            f"Flower would be seen by others on {settings.host}: name a file with user:password lines in "
            "service.flower.auth_file, or keep service.flower.host on 127.0.0.1"
        )
    path = folder / OWN_FILE
    if not path.exists():
        write_secret(path, f"{OWN_USER}:{secrets.token_urlsafe(18)}\n")
    return path


def read_credentials(path: Path) -> list[str]:
    """Return the lines of a credentials file; raise `SettingsError` where it is unusable, never quoting it."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it has other characters than ASCII"
        raise SettingsError(f"cannot read Flower's credentials {path}: {why}") from exc
    for number, line in enumerate(lines, 1):
        user, colon, password = line.partition(":")
        if not user or not colon or len(password) < _SHORTEST_PASSWORD:
            raise SettingsError(
                f"{path}: line {number} is not user:password with a password of {_SHORTEST_PASSWORD} characters or more"
            )
    if not lines:
        raise SettingsError(f"{path} has no user:password line, so nobody could look at Flower")
    return lines


def cookie_secret(credentials: list[str]) -> str:
    """Return what cookies are signed with: the same after every start, another one after a password changed."""
    key = hashlib.scrypt("\n".join(credentials).encode(), salt=b"docroute flower cookies", n=2**14, r=8, p=1)
    return key.hex()
