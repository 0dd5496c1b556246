"""Bytes to documents and pages. Every limit on input lives here."""

from router.documents.limits import Limits
from router.documents.reader import OpenedDocument, open_document, read_file
from router.documents.sniff import media_type

__all__ = ["Limits", "OpenedDocument", "media_type", "open_document", "read_file"]
