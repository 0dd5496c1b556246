"""Where blobs lie: a local folder, or whatever fsspec reaches. Knows names and bytes, not what they mean.

A name is seen whole or not at all: a folder gets a finished file by rename, a remote store gets one single put.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from router.errors import BlobError, BlobMissingError, SettingsError
from workers.redact import redact_text, redact_url

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNFINISHED = ".unfinished"
_UNFINISHED_S = 86400.0
_CHANGED_KEYS = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_PACKAGES = {"s3": 'pip install "docroute[s3]"', "s3a": 'pip install "docroute[s3]"'}


class Storage(Protocol):
    """Bytes under names such as `results/a.json`. Errors: `BlobError`, `BlobMissingError`."""

    place: str
    """For messages; without secrets."""

    def write(self, name: str, data: bytes) -> None:
        """Put bytes under a name, in place of what was there, and make them last."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a name."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether there is such a name."""
        ...

    def refresh(self, name: str, data: bytes) -> None:
        """Make a name hold these bytes, its age counting from now."""
        ...

    def delete(self, name: str) -> None:
        """Remove a name; one that is not there is no error."""
        ...

    def delete_older(self, name: str, before: float) -> bool:
        """Remove a name last written before a time (seconds since the epoch); return whether it was."""
        ...

    def changed(self, folder: str) -> Iterator[tuple[str, float]]:
        """Yield (name, when it was last written in seconds since the epoch) for all names below a folder."""
        ...

    def free_mb(self) -> int | None:
        """Return the free space; None where that is not known."""
        ...


def open_storage(url: str) -> Storage:
    """Return the storage of a folder or fsspec URL; raise `SettingsError` when its kind is unknown or not installed."""
    try:
        file_system, path = fsspec.core.url_to_fs(url)
    except ImportError as exc:
        scheme = url.partition(":")[0]
        command = _PACKAGES.get(scheme, f"pip install the fsspec package for {scheme}")
        raise SettingsError(f"service.blobs.url: {scheme}:// needs a package that is missing: {command}") from exc
    except Exception as exc:
        raise SettingsError(f"service.blobs.url: {redact_url(url)}: {redact_text(str(exc))}") from exc
    if isinstance(file_system, LocalFileSystem):
        return Folder(Path(path))
    return Remote(file_system, path.rstrip("/"), redact_url(url))


@contextmanager
def _translated(action: str, name: str, place: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if action == "read" and isinstance(exc, FileNotFoundError | NotADirectoryError):
            raise BlobMissingError(f"there is no blob {name} in {place}") from exc
        if exc.errno in _FULL:
            raise BlobError(f"no space left for blobs in {place}; free some, or move service.blobs.url") from exc
        reason = exc.strerror or type(exc).__name__
        raise BlobError(f"cannot {action} blob {name} in {place}: {redact_text(reason)}") from exc


class Folder:
    """A local folder. Unfinished files lie in a folder of their own, so that no reader ever comes upon one."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100  a root that is a link stays one
        self.place = str(self.root)

    def write(self, name: str, data: bytes) -> None:
        """Write, sync and rename: after a power cut the name holds all of the bytes or is not there."""
        with _translated("write", name, self.place):
            target, unfinished = self.root / name, self._unfinished()
            try:
                _write_synced(unfinished, data)
                target.parent.mkdir(parents=True, exist_ok=True)
                unfinished.replace(target)
            except BaseException:
                with suppress(OSError):
                    unfinished.unlink()
                raise
            _sync_folder(target.parent)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        with _translated("read", name, self.place):
            return (self.root / name).read_bytes()

    def exists(self, name: str) -> bool:
        """Return whether the file is there."""
        with _translated("look for", name, self.place):
            return (self.root / name).is_file()

    def refresh(self, name: str, data: bytes) -> None:
        """Touch a file that has these bytes, write it anew when it is damaged or missing."""
        path = self.root / name
        with suppress(OSError):
            os.utime(path)  # before the look: from here on nothing purges it
            if path.read_bytes() == data:
                return
        self.write(name, data)

    def delete(self, name: str) -> None:
        """Remove a file."""
        with _translated("delete", name, self.place):
            (self.root / name).unlink(missing_ok=True)

    def delete_older(self, name: str, before: float) -> bool:
        """Move a file away, look at its age again, and put it back where someone refreshed it just before the move."""
        path = self.root / name
        with _translated("delete", name, self.place):
            aside = self._unfinished()
            try:
                path.replace(aside)
            except FileNotFoundError:
                return False
            if aside.stat().st_mtime >= before:
                _put_back(aside, path)
                return False
            aside.unlink()
            return True

    def changed(self, folder: str) -> Iterator[tuple[str, float]]:
        """Yield files with the time of their last change, and clear away what killed writers left unfinished."""
        self._clear_unfinished()
        for path in (self.root / folder).rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path.relative_to(self.root).as_posix(), path.stat().st_mtime

    def free_mb(self) -> int:
        """Return the free space of the disk that the folder is on, or will be."""
        with _translated("measure", "space", self.place):
            self.root.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self.root).free // 1_000_000

    def _unfinished(self) -> Path:
        folder = self.root / _UNFINISHED
        folder.mkdir(parents=True, exist_ok=True)
        return folder / secrets.token_hex(16)

    def _clear_unfinished(self) -> None:
        for path in (self.root / _UNFINISHED).glob("*"):
            with suppress(OSError):
                if path.stat().st_ctime < time.time() - _UNFINISHED_S:
                    path.unlink()


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put_back(aside: Path, path: Path) -> None:
    try:
        os.link(aside, path)  # unlike a rename it leaves what was written there meanwhile
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        aside.replace(path)
    aside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems know no sync of a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Remote:
    """An object store or anything else that fsspec knows; its own errors are translated, whatever they are."""

    def __init__(self, file_system: Any, root: str, place: str) -> None:
        self._fs = file_system
        self._root = root
        self.place = place

    def write(self, name: str, data: bytes) -> None:
        """Put the bytes in one call, which an object store makes visible whole."""
        with self._translated("write", name):
            self._fs.pipe_file(self._path(name), data)

    def read(self, name: str) -> bytes:
        """Return the bytes of an object."""
        with self._translated("read", name):
            return bytes(self._fs.cat_file(self._path(name)))

    def exists(self, name: str) -> bool:
        """Return whether the object is there."""
        with self._translated("look for", name):
            try:
                self._fs.info(self._path(name))
            except FileNotFoundError:
                return False
            return True

    def refresh(self, name: str, data: bytes) -> None:
        """Write it again: object stores have no touch, and what is there may be damaged."""
        self.write(name, data)

    def delete(self, name: str) -> None:
        """Remove an object."""
        with self._translated("delete", name), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def delete_older(self, name: str, before: float) -> bool:
        """Look at the age again and remove; here a refresh between the two is lost, so let nothing be this old."""
        with self._translated("delete", name):
            try:
                at = _changed_at(self._fs.info(self._path(name)))
                if at is None or at >= before:
                    return False
                self._fs.rm_file(self._path(name))
            except FileNotFoundError:
                return False
            return True

    def changed(self, folder: str) -> Iterator[tuple[str, float]]:
        """Yield objects with the time of their last change; those without one are left out."""
        with self._translated("list", folder):
            self._fs.invalidate_cache()
            found = self._fs.find(self._path(folder), detail=True)
        for path, info in found.items():
            if (at := _changed_at(info)) is not None:
                yield path.removeprefix(self._root).lstrip("/"), at

    def free_mb(self) -> None:
        """Return None: an object store does not say."""

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _translated(self, action: str, name: str) -> Iterator[None]:
        try:
            with _translated(action, name, self.place):
                yield
        except BlobError:
            raise
        except Exception as exc:
            reason = f"{type(exc).__name__}: {redact_text(str(exc))}"
            raise BlobError(f"cannot {action} blob {name} in {self.place}: {reason}") from exc


def _changed_at(info: dict[str, Any]) -> float | None:
    value = next((info[key] for key in _CHANGED_KEYS if info.get(key) is not None), None)
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None
