"""Bytes or a file to an opened document. The entrance of this package; must not know what is read from the pages."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np

from router.documents import sniff
from router.documents.image import ImagePages
from router.documents.layer_ink import Gray
from router.documents.limits import Limits
from router.documents.pdf import PdfPages
from router.documents.text_layer import TextLayer
from router.errors import DocumentError, LimitExceededError
from router.types import Document, Page, Rgb

_DEFAULT = Limits()
_MAX_NOTES = 20


class _Pages(Protocol):
    """What a format's reader offers; `notes` are remarks on the document for whoever reads its result."""

    pages: tuple[Page, ...]
    notes: tuple[str, ...]

    def image(self, number: int) -> Rgb: ...

    def close(self) -> None: ...


class OpenedDocument:
    """A document with its pages' pictures at hand; a context manager and a `PageSource`, safe to use from threads.

    The last few pictures are kept: as many as `max_cached_pages` and `max_cached_bytes` allow, and always the last one.
    """

    def __init__(self, document: Document, pages: _Pages, limits: Limits) -> None:
        self.document = document
        self._pages = pages
        self._limits = limits
        self._cache: OrderedDict[int, Rgb] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    def image(self, number: int) -> Rgb:
        """Return the picture of page `number` (from 1), not to be written to; raise `DocumentError` or `IndexError`."""
        if not 1 <= number <= len(self.document.pages):
            raise IndexError(f"page {number} of {len(self.document.pages)}")
        with self._lock:
            if self._closed:
                raise ValueError("the document is closed")
            if number not in self._cache:
                picture = self._pages.image(number)
                picture.flags.writeable = False
                self._cache[number] = picture
                self._shrink()
            self._cache.move_to_end(number)
            return self._cache[number]

    def gray(self, number: int, dpi: float) -> Gray:
        """Return page `number` in grey, shape (height, width), not kept; a PDF's with at most so many dots an inch.

        Raises as `image` does.
        """
        with self._lock:
            kept = self._cache.get(number)
            if isinstance(self._pages, PdfPages) and kept is None and not self._closed:
                return self._pages.gray(number, dpi)
        return np.asarray(cv2.cvtColor(self.image(number), cv2.COLOR_RGB2GRAY), np.uint8)

    def _shrink(self) -> None:
        while len(self._cache) > 1 and (
            len(self._cache) > self._limits.max_cached_pages
            or sum(picture.nbytes for picture in self._cache.values()) > self._limits.max_cached_bytes
        ):
            self._cache.popitem(last=False)

    def close(self) -> None:
        """Free pictures and bytes; `document` stays readable."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._cache.clear()
                self._pages.close()

    def __enter__(self) -> OpenedDocument:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_document(
    data: bytes,
    uri: str,
    limits: Limits = _DEFAULT,
    picture: Page | None = None,
    notes: tuple[str, ...] = (),
    text_layer: TextLayer = "auto",
) -> OpenedDocument:
    """Return the opened document; `uri` is only remembered. Raises `DocumentError`, whose message leaves it out.

    `picture` is the page that an earlier opening found in the same bytes, and `notes` are what it noted, if
    `is_picture` says that they are one: they are then decoded only when the page's picture is asked for.
    """
    check_bytes(len(data), limits)
    media_type = sniff.media_type(data)
    known = picture if sniff.is_picture(media_type) else None
    pages: _Pages
    if media_type == sniff.PDF:
        pages = PdfPages(data, limits, text_layer)
    else:
        pages = ImagePages(data, media_type, limits, known)
    document = Document(
        id=hashlib.sha256(data).hexdigest(),
        uri=uri,
        media_type=media_type,
        size_bytes=len(data),
        pages=pages.pages,
        notes=(pages.notes if known is None else notes)[:_MAX_NOTES],
    )
    return OpenedDocument(document, pages, limits)


def read_file(path: Path, limits: Limits = _DEFAULT, text_layer: TextLayer = "auto") -> OpenedDocument:
    """Return the document in a regular file; raise `DocumentError` before reading a file that is too large."""
    return open_document(read_bytes(path, limits), str(path), limits, text_layer=text_layer)


def read_bytes(path: Path, limits: Limits = _DEFAULT) -> bytes:
    """Return the bytes of a regular file without looking at them; raise `DocumentError` as `read_file` does."""
    try:
        return _read_regular(path, limits)
    except FileNotFoundError as exc:
        raise DocumentError("no such file; check the name") from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise DocumentError(
            f"the file cannot be read ({reason}); check that it exists and that you may read it"
        ) from exc


def _read_regular(path: Path, limits: Limits) -> bytes:
    # without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError(f"a {_kind(status.st_mode)}, not a file; name the file itself")
        check_bytes(status.st_size, limits)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limits.max_bytes + 1)
    finally:
        os.close(descriptor)


def check_bytes(size_bytes: int, limits: Limits = _DEFAULT) -> None:
    """Raise `LimitExceededError` for a document of more bytes than the limit."""
    if size_bytes > limits.max_bytes:
        raise LimitExceededError(f"{size_bytes} bytes, the limit is {limits.max_bytes}; split it or raise max_bytes")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "directory"
    return "pipe" if stat.S_ISFIFO(mode) else "device or socket"
