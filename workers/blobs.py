"""Blobs: original documents by the hash of their bytes, and results as JSON. Knows no job, queue or model.

An original is checked against its hash whenever it is read: what comes back is what was put, or an error. A name is
seen whole or not at all, so a reader never meets half a result. Blobs outlive the store of jobs.

What is purged goes to a trash first, under its own name and with the time of the move as its age; whoever reads it
meanwhile brings it back. Ages are those of the clock that stamps blobs (`clock`), never of this process.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import fsspec
from fsspec.implementations.local import LocalFileSystem

from router.errors import BlobError, BlobMissingError, SettingsError
from workers.blob_folder import Folder
from workers.blob_remote import Remote
from workers.blob_storage import TRASH, Storage
from workers.redact import redact_text, redact_url
from workers.service_settings import BlobSettings

ORIGINALS, RESULTS, EXTRACTIONS = "originals", "results", "extractions"
PROBES = "probe"
BATCH = 500
_ID = re.compile(r"[0-9a-f]{64}")
_KIND = re.compile(r"[a-z][a-z_]{0,30}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}(\.[A-Za-z0-9_-]{1,40}){0,3}")
_RESERVED = {ORIGINALS, TRASH}
_LOOK_AGAIN_S = 0.05
_LOG = logging.getLogger(__name__)
_PACKAGES = {"s3": 'pip install "docroute[s3]"', "s3a": 'pip install "docroute[s3]"'}


def make_blobs(settings: BlobSettings) -> Blobs:
    """Return the blobs of a folder or fsspec URL; raise `SettingsError` when its kind is unknown or not installed."""
    return Blobs(_storage(settings.url), settings.min_free_mb)


def document_id_of(data: bytes) -> str:
    """Return the id (sha256) of a document's bytes."""
    return hashlib.sha256(data).hexdigest()


def original_blob(document_id: str) -> str:
    """Return the blob name of an original; raise `BlobMissingError` for what is no sha256 in lower-case hex."""
    if not _ID.fullmatch(document_id):
        raise BlobMissingError(f"{document_id[:80]!r} is no document id, which is 64 hex digits")
    return f"{ORIGINALS}/{document_id[:2]}/{document_id[2:4]}/{document_id}"


class Blobs:
    """Originals and results in one storage. Safe for threads and for many processes at once.

    Every method may raise `BlobError` (retryable: no space, no connection, damage); reading what is not there raises
    `BlobMissingError`, which no retry will heal.
    """

    def __init__(self, storage: Storage, min_free_mb: int = 0) -> None:
        self._storage = storage
        self._min_free_mb = min_free_mb
        self.place = storage.place

    # -- originals
    def put_original(self, data: bytes) -> str:
        """Return the id (sha256) under which a document is kept; putting it again renews its age and heals damage."""
        free_mb = self._storage.free_mb()
        if free_mb is not None and free_mb < self._min_free_mb:
            raise BlobError(
                f"only {free_mb} MB are free in {self.place} and {self._min_free_mb} are kept for results; "
                "free some space, or lower service.blobs.min_free_mb"
            )
        document_id = document_id_of(data)
        self._storage.refresh(original_blob(document_id), data)
        return document_id

    def open_original(self, document_id: str) -> bytes:
        """Return the bytes of a document, checked against its id; raise `BlobError` when they are damaged."""
        name = original_blob(document_id)
        try:
            data = self._read(name)
        except BlobMissingError:
            time.sleep(_LOOK_AGAIN_S)  # a purge that met a fresh submission puts the file back
            data = self._read(name)
        if document_id_of(data) != document_id:
            raise BlobError(f"the original {document_id} in {self.place} is damaged; submit the document again")
        return data

    def has_original(self, document_id: str) -> bool:
        """Return whether a document is kept or was brought back from the trash; its bytes are not looked at."""
        return self.has(original_blob(document_id))

    # -- results and whatever else steps leave for each other
    def put_json(self, kind: str, name: str, value: Any, durable: bool = True) -> str:
        """Return the blob name `KIND/NAME.json` under which a JSON value was put, in one step that others see whole.

        What can be made again need not be `durable`: a power cut may then leave it damaged or gone, and it costs less.

        Raise ValueError or TypeError for what is no JSON (NaN is none), and ValueError for a bad kind or name.
        """
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # a lone surrogate becomes the escape by which JSON writes it
        return self.put_bytes(kind, f"{name}.json", text.encode("utf-8", "backslashreplace"), durable)

    def get_json(self, blob: str) -> Any:
        """Return a JSON value; raise `BlobError` when it is damaged."""
        try:
            return json.loads(self.get_bytes(blob))
        except (ValueError, RecursionError) as exc:
            raise BlobError(f"the blob {blob} in {self.place} is damaged: it is no JSON") from exc

    def put_bytes(self, kind: str, name: str, data: bytes, durable: bool = True) -> str:
        """Return the blob name `KIND/NAME` under which bytes were put; raise ValueError for a bad kind or name."""
        if kind in _RESERVED or not _KIND.fullmatch(kind) or not _NAME.fullmatch(name):
            raise ValueError(f"{kind!r}, {name!r} make no blob name: letters, digits, '_', '-' and single dots do")
        blob = f"{kind}/{name}"
        self._storage.write(blob, data, durable)
        return blob

    def get_bytes(self, blob: str) -> bytes:
        """Return the bytes of a blob that `put_bytes` or `put_json` named."""
        return self._read(_checked(blob))

    def has(self, blob: str) -> bool:
        """Return whether a blob is there or was brought back from the trash."""
        return self._storage.exists(_checked(blob)) or self._restore(blob)

    def delete(self, blob: str) -> None:
        """Remove a blob by its name; one that is not there is no error."""
        self._storage.delete(_checked(blob))

    # -- housekeeping
    def clock(self) -> float | None:
        """Return the time by the clock that stamps blobs, in seconds since the epoch; None where they get no stamp."""
        return self._storage.clock()

    def stamped(self, kind: str) -> Iterator[tuple[str, float]]:
        """Yield (blob, when it was last put, by `clock`) for all blobs of a kind (`originals`, `results`, ...)."""
        if not _KIND.fullmatch(kind):
            raise ValueError(f"{kind!r} is no kind of blob")
        return self._storage.changed(kind)

    def stale(self, kind: str, before: float) -> Iterator[str]:
        """Yield the names of a kind's blobs that were last put before a time by `clock`."""
        return (blob for blob, put_at in self.stamped(kind) if put_at < before)

    def purge(
        self, kind: str, before: float, needed: Callable[[Sequence[str]], Collection[str]], limit: int = 10_000
    ) -> int:
        """Return how many stale blobs of a kind went to the trash; `needed` returns which of some names are spared.

        An original must not go while a job waits for it. Two things see to that: `needed`, for jobs that have waited
        longer than the retention, and age, for jobs that `needed` cannot know yet: a submission puts the original,
        which renews its age, before it makes the job, and age is looked at again in the moment of removal.
        """
        moved, stale = 0, self.stale(kind, before)
        while moved < limit and (part := list(islice(stale, min(BATCH, limit - moved)))):
            spared = needed(part)
            moved += sum(self._storage.trash_older(blob, before) for blob in part if blob not in spared)
        return moved

    def place_of(self, blob: str) -> Literal["here", "trash", "gone"]:
        """Return where a blob is; unlike `has` it brings nothing back."""
        if self._storage.exists(_checked(blob)):
            return "here"
        return "trash" if self._storage.exists(f"{TRASH}/{blob}") else "gone"

    def throw_away(self, blob: str) -> bool:
        """Move a blob to the trash whatever its age; return whether it was there."""
        return self._storage.trash_older(_checked(blob), math.inf)

    def empty_trash(self, before: float, limit: int = 10_000) -> int:
        """Return how many blobs were removed for good that went to the trash before a time by `clock`."""
        removed = 0
        for aside in islice(self.stale(TRASH, before), limit):
            self._storage.delete(aside)
            removed += 1
        return removed

    def clear_unfinished(self, before: float) -> None:
        """Remove what killed writers left before a time by `clock`."""
        self._storage.clear_unfinished(before)

    def trashed(self) -> Iterator[tuple[str, float]]:
        """Yield (blob, when it went to the trash, by `clock`)."""
        return ((aside.removeprefix(f"{TRASH}/"), at) for aside, at in self.stamped(TRASH))

    def _read(self, name: str) -> bytes:
        try:
            return self._storage.read(name)
        except BlobMissingError:
            self._restore(name)
            return self._storage.read(name)

    def _restore(self, name: str) -> bool:
        restored = self._storage.restore(name)
        if restored:
            _LOG.warning("the blob %s lay in the trash of %s and was brought back", name, self.place)
        return restored

    def free_mb(self) -> int | None:
        """Return the free space in MB; None for a storage that does not say."""
        return self._storage.free_mb()

    def check(self) -> None:
        """Write, read and delete a small blob; raise `BlobError` naming what does not work."""
        data = secrets.token_bytes(64)
        blob = self.put_bytes(PROBES, secrets.token_hex(8), data)
        try:
            if self.get_bytes(blob) != data:
                raise BlobError(f"{self.place} does not give back what was written")
        finally:
            self.delete(blob)


def _checked(blob: str) -> str:
    kind, _, name = blob.partition("/")
    if _KIND.fullmatch(kind) and kind != ORIGINALS and _NAME.fullmatch(name):
        return blob
    if kind == ORIGINALS and blob == original_blob(blob.rpartition("/")[2]):
        return blob
    raise BlobMissingError(f"{blob[:80]!r} is no name of a blob")


def _storage(url: str) -> Storage:
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
