"""A document as it is believed: without the text layers that a reading of the page has contradicted."""

from __future__ import annotations

from collections.abc import Mapping

from router.types import Document, Extraction

_PAGES_NAMED = 5


def believed(document: Document, disbelieved: Mapping[int, str]) -> Document:
    """Return the document without the words of these pages, and with the reasons among its notes."""
    pages = tuple(
        page.model_copy(update={"words": (), "doubted": False}) if page.number in disbelieved else page
        for page in document.pages
    )
    named = list(disbelieved.items())
    new = [f"page {number}: {reason}" for number, reason in named[:_PAGES_NAMED]]
    if len(named) > _PAGES_NAMED:
        new.append(f"{len(named) - _PAGES_NAMED} more pages whose text layer does not say what they show")
    notes = (*document.notes, *(note for note in new if note not in document.notes))
    return document.model_copy(update={"pages": pages, "notes": notes}) if disbelieved else document


def disbelieved_by(*readings: Extraction | None) -> dict[int, str]:
    """Return the pages whose text layers any of the readings did not believe, with the first one's reason."""
    found: dict[int, str] = {}
    for reading in readings:
        for number, reason in (reading.disbelieved if reading else {}).items():
            found.setdefault(number, reason)
    return found
