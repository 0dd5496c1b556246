"""Bytes to documents and pages. Every limit on input lives here."""

from router.documents.limits import Limits
from router.documents.reader import OpenedDocument, check_bytes, open_document, read_bytes, read_file
from router.documents.sniff import is_picture, media_type
from router.documents.text_layer import TextLayer

__all__ = [
    "Limits",
    "OpenedDocument",
    "TextLayer",
    "check_bytes",
    "is_picture",
    "media_type",
    "open_document",
    "read_bytes",
    "read_file",
]
