"""Blobs in an object store, or whatever else fsspec reaches. Knows no particular one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from router.errors import BlobError
from workers.blob_storage import translated
from workers.redact import redact_text

_CHANGED_KEYS = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


class Remote:
    """An object store or anything else that fsspec knows; its own errors are translated, whatever they are."""

    def __init__(self, file_system: Any, root: str, place: str) -> None:
        self._fs = file_system
        self._root = root
        self.place = place

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
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
            with translated(action, name, self.place):
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
