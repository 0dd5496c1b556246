"""Whether a page's text layer is believed: doubtful words, and those that became values, are read off the page.

Three ways to learn that a layer lies: a doubtful word (it draws nothing itself, or not whole) stands where the page
says something else; several of a sample of them do; the word behind a value is not what is printed. Then the page is
read as the picture that it is. Knows words, readings and fields' kinds; decides nothing about a value.
"""

from __future__ import annotations

import random
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from backends.ocr.layer_reading import Gray, Verdict, strip_width_px, verdicts
from backends.ocr.layer_texts import is_readable
from router.features import has_usable_text_layer
from router.schema import Schema
from router.types import Document, FieldKind, FieldValue, Page, PageSource, Polygon, Word

_ALL_READ = 12
"""Doubtful words of a page up to this many are all read, of more a sample of `_SAMPLE`."""
_SAMPLE = 8
_MAX_WRONG = 0.25
"""Share of a sample that may differ: whoever read a scan before made mistakes, too."""
_STRIP_BUDGET_PX = 300
"""How much of a page's words that became values is read: about 30 ms on one core."""
_DPI = 150.0
_KINDS: Sequence[FieldKind] = ("amount", "identifier", "date", "period", "text", "table")
_KEPT_DOCUMENTS = 4


@runtime_checkable
class GrayPages(Protocol):
    """A source that gives a page in grey for less than in colours."""

    def gray(self, number: int, dpi: float) -> Gray:
        """Return page `number` (from 1) in grey, shape (height, width), with about so many dots an inch."""
        ...


class LayerCheck:
    """Checks text layers of documents; remembers what it read in the last few."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, dict[tuple[int, int], Verdict]] = OrderedDict()
        self._lock = threading.Lock()

    def doubts(self, document: Document, pages: PageSource) -> tuple[Document, dict[int, str]]:
        """Return the document without doubtful words that nobody can read, and the layers that are not believed.

        The latter by page, with the reason in words.
        """
        left: list[Page] = []
        disbelieved: dict[int, str] = {}
        for page in document.pages:
            doubtful = _doubtful(page) if _is_checked(page) else []
            chosen = _sample(doubtful, page, document.id)
            read = self._read(document, page, chosen, pages)
            illegible = {index for index in chosen if read[index].kind == "illegible"}
            wrong = [index for index in chosen if read[index].kind == "other"]
            if wrong and (len(chosen) == len(doubtful) or len(wrong) > _MAX_WRONG * len(chosen)):
                disbelieved[page.number] = _reason(page.words[wrong[0]], read[wrong[0]])
            elif len(illegible) > _MAX_WRONG * _SAMPLE and 2 * len(illegible) > len(page.words):
                disbelieved[page.number] = "the page does not show what its text layer says"
            words = tuple(word for index, word in enumerate(page.words) if index not in illegible)
            left.append(page.model_copy(update={"words": words}) if illegible else page)
        return document.model_copy(update={"pages": tuple(left)}), disbelieved

    def contradicted(
        self, document: Document, pages: PageSource, schema: Schema, fields: Mapping[str, FieldValue]
    ) -> dict[int, str]:
        """Return the layers that are not believed, by page with the reason: a value's words are not printed there."""
        disbelieved: dict[int, str] = {}
        for page in document.pages:
            if not _is_checked(page):
                continue
            chosen = _affordable(page, _of_values(page, schema, fields, document.id))
            read = self._read(document, page, chosen, pages)
            wrong = next((index for index in chosen if read[index].kind != "same"), None)
            if wrong is not None:
                disbelieved[page.number] = _reason(page.words[wrong], read[wrong])
        return disbelieved

    def _read(self, document: Document, page: Page, chosen: Sequence[int], pages: PageSource) -> dict[int, Verdict]:
        known = self._known(document.id)
        keys = {index: (page.number, hash((page.words[index].text, page.words[index].polygon))) for index in chosen}
        missing = [index for index in chosen if keys[index] not in known]
        if missing:
            found = verdicts(_gray(pages, page.number), [page.words[index] for index in missing])
            known.update({keys[index]: verdict for index, verdict in zip(missing, found, strict=True)})
        return {index: known[key] for index, key in keys.items()}

    def _known(self, document_id: str) -> dict[tuple[int, int], Verdict]:
        with self._lock:
            known = self._kept.pop(document_id, {})
            self._kept[document_id] = known
            while len(self._kept) > _KEPT_DOCUMENTS:
                self._kept.popitem(last=False)
        return known


def _is_checked(page: Page) -> bool:
    return page.doubted and has_usable_text_layer(page)


def _gray(pages: PageSource, number: int) -> Gray:
    if isinstance(pages, GrayPages):
        return pages.gray(number, _DPI)
    return np.asarray(cv2.cvtColor(pages.image(number), cv2.COLOR_RGB2GRAY), np.uint8)


def _doubtful(page: Page) -> list[int]:
    return [i for i, word in enumerate(page.words) if word.confidence is None and is_readable(word.text)]


def _sample(doubtful: Sequence[int], page: Page, document_id: str) -> list[int]:
    """Return the doubtful words to read, the same ones for the same document: rather numbers than others."""
    if len(doubtful) <= _ALL_READ:
        return list(doubtful)
    order = list(doubtful)
    random.Random(f"{document_id} {page.number}").shuffle(order)
    order.sort(key=lambda index: sum(map(str.isdigit, page.words[index].text)) < 2)
    telling = [index for index in order if len(page.words[index].text) > 2]
    return (telling or order)[:_SAMPLE]


def _of_values(page: Page, schema: Schema, fields: Mapping[str, FieldValue], document_id: str) -> list[int]:
    """Return the words behind a page's values, those of fields that matter most first, a sample of cells last."""
    places: dict[FieldKind, list[Polygon]] = defaultdict(list)
    for spec in sorted((schema.field(name) for name in fields), key=lambda spec: not spec.required):
        value = fields[spec.name]
        if value.present and value.page == page.number and value.polygon is not None:
            places[spec.kind].append(value.polygon)
        cells = [cell for row in value.rows or () for cell in row.values() if cell.page == page.number]
        places["table"] += [cell.polygon for cell in cells if cell.polygon and any(map(str.isdigit, cell.raw))]
    random.Random(f"{document_id} {page.number}").shuffle(places["table"])
    places["table"] = places["table"][:_SAMPLE]
    boxes = np.array([word.polygon for word in page.words]).reshape(-1, 4, 2)
    low, high = boxes.min(axis=1), boxes.max(axis=1)
    found: dict[int, None] = {}
    for kind in _KINDS:
        for polygon in places[kind]:
            corners = np.array(polygon).reshape(4, 2)
            shared = np.minimum(high, corners.max(axis=0)) - np.maximum(low, corners.min(axis=0))
            inside = (shared > 0.5 * np.minimum(high - low, np.ptp(corners, axis=0))).all(axis=1)
            found |= dict.fromkeys(i for i in np.flatnonzero(inside).tolist() if is_readable(page.words[i].text))
    return list(found)


def _affordable(page: Page, chosen: Sequence[int]) -> list[int]:
    """Return as many of the words, in their order, as the budget allows; never none."""
    taken: list[int] = []
    left = _STRIP_BUDGET_PX
    for index in chosen:
        wide = strip_width_px(page.words[index], (page.height_px, page.width_px))
        if wide <= left or not taken:
            taken.append(index)
            left -= wide
    return taken


def _reason(word: Word, verdict: Verdict) -> str:
    said = f"the text layer says {_short(word.text)} where the page shows"
    return f"{said} {_short(verdict.read)}" if verdict.kind == "other" else f"{said} nothing that can be read"


def _short(text: str) -> str:
    return f'"{text[:40]}"'
