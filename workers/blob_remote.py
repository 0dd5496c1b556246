"""Blobs in an object store, or whatever else fsspec reaches. Knows no particular one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from router.errors import BlobError
from workers.blob_storage import TRASH, translated
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

    def clock(self) -> float | None:
        """Put an object and return the time that the store gave it."""
        name = f"probe/{secrets.token_hex(8)}"
        self.write(name, b"clock")
        try:
            with self._translated("look at", name):
                return self._stamp(name)
        finally:
            self.delete(name)

    def trash_older(self, name: str, before: float) -> bool:
        """Copy to the trash, look at the age again, and remove.

        What is put again between that look and the removal is in the trash only; whoever reads it brings it back.
        """
        with self._translated("move", name), suppress(FileNotFoundError):
            stamp = self._stamp(name)
            if stamp is None or stamp >= before:
                return False
            self._fs.cp_file(self._path(name), self._path(f"{TRASH}/{name}"))
            if self._stamp(name) == stamp:
                self._fs.rm_file(self._path(name))
                return True
        return False

    def restore(self, name: str) -> bool:
        """Copy an object back from the trash."""
        aside = f"{TRASH}/{name}"
        if not self.exists(aside):
            return False
        with self._translated("restore", name), suppress(FileNotFoundError):
            self._fs.cp_file(self._path(aside), self._path(name))
            self._fs.rm_file(self._path(aside))
        return self.exists(name)

    def changed(self, folder: str) -> Iterator[tuple[str, float]]:
        """Yield objects with the time of their last change; those without one are left out."""
        with self._translated("list", folder):
            self._fs.invalidate_cache()
            found = self._fs.find(self._path(folder), detail=True)
        for path, info in found.items():
            if (at := _changed_at(info)) is not None:
                yield path.removeprefix(self._root).lstrip("/"), at

    def clear_unfinished(self, before: float) -> None:
        """Do nothing: an object is there whole or not at all."""

    def free_mb(self) -> None:
        """Return None: an object store does not say."""

    def _stamp(self, name: str) -> float | None:
        self._fs.invalidate_cache()
        return _changed_at(self._fs.info(self._path(name)))

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
