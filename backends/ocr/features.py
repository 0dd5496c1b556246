"""Describes candidates in numbers for the scorer. Knows geometry, labels and format; must not know weights or keys.

Every candidate of a kind gets the same columns: `column_names(kind)`. Lengths are in page widths, shares in [0,1].
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np

from backends.ocr.arithmetic import FACT_COLUMNS, amount_facts
from backends.ocr.candidates import Candidate, CandidateKind
from backends.ocr.concepts import concept_names, concepts_in
from backends.ocr.context import PLACES, Context, context_of, place_concepts
from backends.ocr.layout import DocumentLayout
from backends.ocr.lines import LINE_COLUMNS, line_features

_VALUE_PLACES: tuple[str, ...] = ("left", "left_far", "above", "header", "row_before")
_LINE_PLACES: tuple[str, ...] = ("left", "above", "row_before", "below")
_COMMON = (
    "x_left", "x_right", "y", "y_from_end", "row_share", "page_share", "on_last_page", "relative_height", "length",
    "order", "order_from_end", "same_value", "is_first_of_value", "is_last_of_value", "min_confidence",
    "mean_confidence", "segment_share", "digits", "letters", "starts_segment", "ends_segment", "candidates",
)  # fmt: skip
_FORMAT = ("ambiguous", "decimals", "currency", "year_first", "named_month", "has_letters", "has_separator", "upper")
_ORDER = ("value_rank_low", "value_rank_high", "value_size")


@cache
def column_names(kind: CandidateKind) -> tuple[str, ...]:
    """Return the names of a kind's feature columns."""
    places = _LINE_PLACES if kind in ("name", "address") else _VALUE_PLACES
    labels = tuple(f"label:{p}" for p in PLACES)
    concepts = tuple(f"{p}:{c}" for p in places for c in concept_names())
    own = LINE_COLUMNS if kind in ("name", "address") else (*_FORMAT, *_ORDER)
    facts = FACT_COLUMNS if kind == "amount" else ()
    return (*_COMMON, *labels, *own, *facts, *concepts)


def describe(
    layout: DocumentLayout, candidates: Sequence[Candidate], kind: CandidateKind
) -> tuple[np.ndarray, list[Context]]:
    """Return the feature matrix (candidates, columns) float32, label columns 0, and each candidate's surroundings."""
    contexts = [context_of(layout, c) for c in candidates]
    if not candidates:
        return np.zeros((0, len(column_names(kind))), np.float32), contexts
    blocks = [_common(layout, candidates), np.zeros((len(candidates), len(PLACES)), np.float32)]
    if kind in ("name", "address"):
        blocks.append(line_features(layout, candidates))
        places = _LINE_PLACES
    else:
        blocks += [_formats(candidates), _orders(candidates)]
        places = _VALUE_PLACES
    if kind == "amount":
        blocks.append(amount_facts(layout, candidates, contexts))
    blocks.append(_concepts([place_concepts(x) for x in contexts], places))
    return np.concatenate(blocks, axis=1), contexts


def label_columns(kind: CandidateKind) -> slice:
    """Return where the label columns stand in the feature matrix."""
    start = column_names(kind).index(f"label:{PLACES[0]}")
    return slice(start, start + len(PLACES))


def _common(layout: DocumentLayout, candidates: Sequence[Candidate]) -> np.ndarray:
    counts = Counter(c.value for c in candidates)
    firsts: dict[str, int] = {}
    lasts: dict[str, int] = {}
    for i, c in enumerate(candidates):
        firsts.setdefault(c.value, i)
        lasts[c.value] = i
    heights = {p.number: (p.height, p.text_height) for p in layout.pages}
    rows = []
    for i, c in enumerate(candidates):
        index, start, end = c.first
        segment = layout.segments[index]
        page_height, text_height = heights[segment.page]
        x0, y0, x1, _ = segment.span_box(start, end)
        confidences = [p for s, a, b in c.spans for p in layout.segments[s].certainties(a, b)]
        n = len(candidates)
        rows.append(
            (
                x0, x1, y0 / page_height, (page_height - y0) / page_height, layout.row_of[index] / len(layout.rows),
                segment.page / len(layout.pages), segment.page == layout.pages[-1].number,
                segment.height / max(text_height, 1e-6), min(len(c.text), 200), i / n, (n - 1 - i) / n,
                min(counts[c.value], 9), firsts[c.value] == i, lasts[c.value] == i, min(confidences, default=0.0),
                sum(confidences) / max(len(confidences), 1), (end - start) / max(len(segment.text), 1),
                sum(ch.isdigit() for ch in c.text), sum(ch.isalpha() for ch in c.text), start == 0,
                end == len(segment.text), min(n, 300),
            )
        )  # fmt: skip
    return np.array(rows, np.float32)


def _formats(candidates: Sequence[Candidate]) -> np.ndarray:
    rows = []
    for c in candidates:
        has_letters = any(ch.isalpha() for ch in c.text)
        separator = bool(re.search(r"[/\-.]", c.text))
        upper = sum(ch.isupper() for ch in c.text) / max(len(c.text), 1)
        year_first = bool(re.match(r"(?:19|20)\d\d", c.text))
        named = c.kind == "date" and has_letters
        rows.append((c.ambiguous, c.decimals, c.has_currency, year_first, named, has_letters, separator, upper))
    return np.array(rows, np.float32)


def _orders(candidates: Sequence[Candidate]) -> np.ndarray:
    """Rank of the value among the candidates' distinct values, from below and from above, and its size."""
    values = [float(c.value) if c.kind == "amount" else c.value for c in candidates]
    distinct = sorted(set(values))
    rank = {v: i for i, v in enumerate(distinct)}
    rows = []
    for v in values:
        size = np.log1p(abs(v)) if isinstance(v, float) else float(len(str(v)))
        rows.append((min(rank[v], 50), min(len(distinct) - 1 - rank[v], 50), size))
    return np.array(rows, np.float32)


def _concepts(found: Sequence[Sequence[frozenset[str]]], places: Sequence[str]) -> np.ndarray:
    names = concept_names()
    column = {name: i for i, name in enumerate(names)}
    which = [PLACES.index(p) for p in places]
    matrix = np.zeros((len(found), len(places) * len(names)), np.float32)
    for i, sets in enumerate(found):
        for block, place in enumerate(which):
            for name in sets[place]:
                matrix[i, block * len(names) + column[name]] = 1.0
    return matrix


def document_concepts(layout: DocumentLayout) -> frozenset[str]:
    """Return every concept that the document names."""
    return frozenset[str]().union(*(concepts_in(s.text) for s in layout.segments))
