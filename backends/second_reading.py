"""A second reading of what a generating model said: is the value on the page? Knows readings and words, no OCR engine.

Words of a text layer are free and always looked at, elsewhere. This is for pages that have none: reading them costs
about a second of a processor core, far more than the model's share of a document, so a policy says what is worth it.
A value that is not among the page's words is the strongest sign of an invention.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from router.grounding import Grounding, ground
from router.schema import FieldSpec, Schema
from router.types import FieldValue, Page, PageSource, Polygon, Rgb, Word

When = Literal["never", "uncertain", "always"]

Band = tuple[float, float]
"""From and to, in fractions of the page's height."""

WHOLE: Band = (0.0, 1.0)
_HEAD: Band = (0.0, 0.4)
_SUMS: Band = (0.3, 1.0)
BANDS: Mapping[str, Band] = {
    "supplier_name": _HEAD,
    "business_address": _HEAD,
    "invoice_number": _HEAD,
    "po_number": _HEAD,
    "subtotal_amount": _SUMS,
    "gst_amount": _SUMS,
    "total_amount": _SUMS,
}
"""Where at least 98 of 100 right values of receipts and invoices stand (`benchmarks/second_reading.py`)."""
_INFERRED_KINDS = frozenset({"table", "boolean", "enum"})
_INFERRED_FIELDS = frozenset({"currency", "document_type"})


class WordReader(Protocol):
    """Reads the words of pictures."""

    def words(self, pictures: Sequence[Rgb]) -> list[tuple[Word, ...]]:
        """Return the words of each picture, polygons in its fractions."""
        ...


@dataclass(frozen=True)
class SecondReadingPolicy:
    """Which values are looked for.

    uncertain: those whose confidence lies between `low` and `high` or is unknown, first in the band of the page where
    such fields stand (`bands`, the whole page for others), then, on a miss, in the rest of it. Under `low` a value is
    escalated anyway, over `high` it is taken anyway.
    """

    when: When = "uncertain"
    low: float = 0.1
    high: float = 0.98
    bands: Mapping[str, Band] = field(default_factory=lambda: BANDS)
    max_pages: int = 3

    def wants(self, value: FieldValue) -> bool:
        """Return whether a value is worth looking for."""
        if self.when == "uncertain":
            return value.confidence is None or self.low <= value.confidence <= self.high
        return self.when == "always"

    def band(self, names: Sequence[str]) -> Band:
        """Return the band that holds all of these fields."""
        if self.when == "always":
            return WHOLE
        bands = [self.bands.get(name, WHOLE) for name in names]
        return min(top for top, _ in bands), max(bottom for _, bottom in bands)


@dataclass(frozen=True)
class SecondReader:
    """Looks for values in words that `reader` reads from pages without any."""

    reader: WordReader
    policy: SecondReadingPolicy = SecondReadingPolicy()

    def confirm(
        self, fields: Mapping[str, FieldValue], schema: Schema, pages: Sequence[Page], pictures: PageSource
    ) -> dict[str, FieldValue]:
        """Return the readings; those looked for with the signal `grounding` (0: nowhere), found ones with a place.

        A failure of the second reading is no failure of the first: the values then stay as they are.
        """
        wanted: dict[int, list[str]] = defaultdict(list)
        bare = [page for page in pages if not page.words and not page.blank]
        for name, value in fields.items():
            if self._is_open(schema.field(name), value) and self.policy.wants(value):
                for page in [page for page in bare if value.page in (None, page.number)][: self.policy.max_pages]:
                    wanted[page.number].append(name)
        found: dict[str, Grounding | None] = {}
        started = time.perf_counter()
        try:
            for number, names in wanted.items():
                self._look(number, names, fields, schema, pictures.image(number), found)
        except Exception as exc:
            logging.getLogger(__name__).warning("no second reading: %s: %s", type(exc).__name__, exc)
            return dict(fields)
        cost = {"second_reading_ms": (time.perf_counter() - started) * 1000} if wanted else {}
        return {name: _told(value, found[name], cost) if name in found else value for name, value in fields.items()}

    def _look(
        self,
        number: int,
        names: Sequence[str],
        fields: Mapping[str, FieldValue],
        schema: Schema,
        picture: Rgb,
        found: dict[str, Grounding | None],
    ) -> None:
        """Look for values on one page: in their band, then in what is left of the page for those not found."""
        top, bottom = self.policy.band(names)
        words: list[Word] = []
        for bands in ([(top, bottom)], [(0.0, top), (bottom, 1.0)]):
            missing = [name for name in names if found.get(name) is None]
            shown = [band for band in bands if band[1] - band[0] > 0.01]
            if not missing or not shown:
                break
            words += self._words(picture, shown)
            for name in missing:
                found[name] = _search(schema.field(name), fields[name], words, number)

    def _words(self, picture: Rgb, bands: Sequence[Band]) -> list[Word]:
        height = picture.shape[0]
        rows = [(round(top * height), round(bottom * height)) for top, bottom in bands]
        read = self.reader.words([picture[top:bottom] for top, bottom in rows])
        return [
            word.model_copy(update={"polygon": _on_page(word.polygon, top / height, bottom / height)})
            for (top, bottom), words in zip(rows, read, strict=True)
            for word in words
        ]

    @staticmethod
    def _is_open(spec: FieldSpec, value: FieldValue) -> bool:
        inferred = spec.kind in _INFERRED_KINDS or spec.name in _INFERRED_FIELDS
        known = value.polygon is not None or (value.provenance and "grounding" in value.provenance.signals)
        return value.present and bool(value.raw) and not inferred and not known


def _search(spec: FieldSpec, value: FieldValue, words: Sequence[Word], page: int) -> Grounding | None:
    texts = [text for text in (value.raw, value.value) if text]
    found = [place for text in texts if (place := ground(text, words, page, spec.kind))]
    return max(found, key=lambda place: place.score, default=None)


def _told(value: FieldValue, place: Grounding | None, cost: Mapping[str, float]) -> FieldValue:
    if value.provenance is None:
        return value
    signals = {**value.provenance.signals, "grounding": place.score if place else 0.0, **cost}
    update: dict[str, object] = {"provenance": value.provenance.model_copy(update={"signals": signals})}
    if place is not None:
        update |= {"page": place.page, "polygon": place.polygon}
    return value.model_copy(update=update)


def _on_page(polygon: Polygon, top: float, bottom: float) -> Polygon:
    """Return a polygon of a band in fractions of its page."""
    x1, y1, x2, y2, x3, y3, x4, y4 = polygon
    place = [top + y * (bottom - top) for y in (y1, y2, y3, y4)]
    return (x1, place[0], x2, place[1], x3, place[2], x4, place[3])
