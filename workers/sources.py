"""Documents from where a URI points. Knows what may be fetched, and nothing of jobs; by default nothing may.

Upstream systems name URIs, and whoever can send a message could name any: the allow-lists of the settings decide, on
the resolved path, the bucket, the host and its address.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import fsspec

from router.documents import Limits
from router.errors import LimitExceededError, SettingsError, SourceError, SourceUnavailableError
from workers.addresses import Target, is_listed, parse_target
from workers.outbound import Answer, NoAnswer, Outbound
from workers.redact import redact_text, redact_url
from workers.service_settings import SourceSettings

_MAX_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_RETRYABLE = {408, 425, 429}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", flags=re.DOTALL)
OpenS3 = Callable[[float], Any]


def fetch(
    uri: str,
    settings: SourceSettings,
    limits: Limits,
    outbound: Outbound | None = None,
    open_s3: OpenS3 | None = None,
) -> bytes:
    """Return the bytes behind a path, file://, s3:// or https:// URI that the settings allow.

    Errors: `SourceError` (not allowed, not there), `SourceUnavailableError` (may work later), `LimitExceededError`.
    `outbound` and `open_s3` (time limit in seconds -> fsspec file system) stand in for the network in tests.
    """
    match = _SCHEME.match(uri)
    scheme = match.group(1).lower() if match else "file"
    if scheme == "file":
        return _fetch_file(uri, settings, limits)
    if scheme == "s3":
        return _fetch_s3(uri, settings, limits, open_s3 or _s3)
    if scheme == "https":
        return _fetch_https(uri, settings, limits, outbound or Outbound())
    raise SourceError(f"{scheme}: is no scheme that documents are fetched by; use a path, file, s3 or https")


# -- files
def _fetch_file(uri: str, settings: SourceSettings, limits: Limits) -> bytes:
    path = _path(uri)
    name = path.name
    try:
        root, inner = _below_root(path, settings.file_roots)
        return _read_below(root, inner, limits)
    except FileNotFoundError as exc:
        raise SourceError(f"there is no file {name!r} where the URI points") from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or "its name cannot be a file's"
        raise SourceError(f"the file {name!r} cannot be read: {reason}") from exc


def _path(uri: str) -> Path:
    if not uri.lower().startswith("file:"):
        path = Path(uri)
    else:
        parts = urlsplit(uri)
        if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
            raise SourceError("a file URI has the form file:///folder/name, without host or query (%3F is a '?')")
        path = Path(url2pathname(parts.path))
    if not path.is_absolute():
        raise SourceError("the path of a document must be absolute: the worker has another working folder than you")
    return path


def _below_root(path: Path, roots: tuple[str, ...]) -> tuple[Path, Path]:
    if not roots:
        raise SourceError("no folder is allowed as a source; name some in service.sources.file_roots")
    resolved = Path(os.path.realpath(path))
    for root in (Path(os.path.realpath(root)) for root in roots):
        if resolved.is_relative_to(root):
            return root, resolved.relative_to(root)
    # the same words whether it exists or not: nobody learns what lies outside the roots
    raise SourceError(f"the file {path.name!r} is in no folder that service.sources.file_roots allows")


def _read_below(root: Path, inner: Path, limits: Limits) -> bytes:
    # no link is followed here: the path was resolved, so one that appears now was put there to get out
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in inner.parts[:-1]:
            descriptor = _step(descriptor, folder, os.O_DIRECTORY)
        descriptor = _step(descriptor, inner.name or ".", os.O_NONBLOCK)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{inner.name!r} is a folder, pipe or device, not a file; name the file itself")
        _check_size(status.st_size, limits)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limits.max_bytes + 1)
        _check_size(len(data), limits)
        return data
    finally:
        os.close(descriptor)


def _step(folder: int, name: str, flags: int) -> int:
    inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)
    os.close(folder)
    return inner


def _check_size(size_bytes: int, limits: Limits) -> None:
    if size_bytes > limits.max_bytes:
        raise LimitExceededError(
            f"more than {limits.max_bytes} bytes ({size_bytes}), the limit; split it or raise limits.max_bytes"
        )


# -- S3
def _fetch_s3(uri: str, settings: SourceSettings, limits: Limits, open_s3: OpenS3) -> bytes:
    match = _S3.fullmatch(uri)
    if match is None:
        raise SourceError("an S3 URI has the form s3://bucket/key, without user info")
    bucket, key = match.groups()
    if bucket not in settings.s3_buckets:
        raise SourceError(f"the bucket {bucket} is not among service.sources.s3_buckets")
    file_system = open_s3(settings.timeout_s)
    try:
        data = _read_object(file_system, f"{bucket}/{key}", limits)
    except LimitExceededError:
        raise
    except (FileNotFoundError, IsADirectoryError) as exc:
        raise SourceError(f"there is no object {key[-80:]!r} in the bucket {bucket}") from exc
    except PermissionError as exc:
        raise SourceError(f"the service may not read {key[-80:]!r} in the bucket {bucket}") from exc
    except Exception as exc:  # the library lets errors of several others through
        reason = f"{type(exc).__name__}: {redact_text(str(exc))[:200]}"
        raise SourceUnavailableError(f"the bucket {bucket} cannot be read: {reason}") from exc
    _check_size(len(data), limits)
    return data


def _read_object(file_system: Any, path: str, limits: Limits) -> bytes:
    found = file_system.info(path)
    if found["type"] != "file":
        raise IsADirectoryError(path)
    if found["size"] == 0:
        return b""  # S3 gives no range of an empty object
    _check_size(found["size"] or 0, limits)
    return bytes(file_system.cat_file(path, start=0, end=limits.max_bytes + 1))


def _s3(timeout_s: float) -> Any:
    try:
        times = {"connect_timeout": timeout_s, "read_timeout": timeout_s}
        return fsspec.filesystem("s3", config_kwargs=times, use_listings_cache=False)
    except ImportError as exc:
        raise SettingsError('documents from s3:// need a package that is missing: pip install "docroute[s3]"') from exc


# -- HTTPS
def _fetch_https(uri: str, settings: SourceSettings, limits: Limits, outbound: Outbound) -> bytes:
    deadline = time.monotonic() + settings.timeout_s
    for _ in range(_MAX_REDIRECTS + 1):
        target = _allowed(uri, settings)
        remaining_s = max(0.001, deadline - time.monotonic())
        answer = outbound.send("GET", target, {"Accept": "*/*"}, b"", remaining_s, limits.max_bytes)
        if isinstance(answer, NoAnswer):
            raise (SourceError if answer.final else SourceUnavailableError)(answer.error)
        if answer.status not in _REDIRECTS:
            return _body(answer, target, limits)
        uri = urljoin(uri, answer.headers.get("location", ""))
    raise SourceError(f"{target.place} redirects more than {_MAX_REDIRECTS} times")


def _allowed(uri: str, settings: SourceSettings) -> Target:
    try:
        target = parse_target(uri)
    except ValueError as exc:
        raise SourceError(f"{redact_url(uri)[:200]}: the URI is refused, {exc}") from exc
    if target.scheme != "https":
        raise SourceError(f"{target.place}: only https is fetched, not {target.scheme}")
    if not is_listed(target, settings.https_hosts):
        raise SourceError(f"the host {target.place} is not among service.sources.https_hosts")
    return target


def _body(answer: Answer, target: Target, limits: Limits) -> bytes:
    if answer.status in _RETRYABLE or answer.status >= 500:
        raise SourceUnavailableError(f"{target.place} answered {answer.status}")
    if answer.status != 200:
        raise SourceError(f"{target.place} answered {answer.status}, not the document")
    if answer.headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
        raise SourceError(f"{target.place} sends the document compressed, which was not asked for")
    _check_size(_announced(answer.headers), limits)
    _check_size(len(answer.body), limits)
    if answer.cut:
        raise SourceUnavailableError(f"the document from {target.place} did not arrive whole: {answer.cut}")
    return answer.body


def _announced(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
