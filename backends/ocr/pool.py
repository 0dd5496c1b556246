"""Pools the candidates of several readings of one document: equal values become one, with a vote of each reading.

Knows readings and repairs; must not know fields or weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from backends.ocr.candidates import Candidate, CandidateKind, propose
from backends.ocr.concepts import concept_names
from backends.ocr.context import Context, label_matches
from backends.ocr.features import column_names, describe, label_columns
from backends.ocr.layout import DocumentLayout
from backends.ocr.repair import Repair, RepairedSegment, plain, repair_of, repair_segments, unknown_share

MAX_READINGS = 3
VOTE_COLUMNS = (
    "repaired", "edits", "repair_cost", "unknown_share", "repairable", "readings",
    *(f"read_by_{k}" for k in range(MAX_READINGS)),
    *(f"repaired_from_{k}" for k in range(MAX_READINGS)),
    *(f"confidence_{k}" for k in range(MAX_READINGS)),
)  # fmt: skip
_ACCENTS_FROM = 0.01


@dataclass
class Pooled:
    """One value: its first candidate, the reading it is from, and which readings say it or can be repaired to it."""

    candidate: Candidate
    reading: int
    read_by: list[bool]
    repaired_from: list[bool]
    confidences: list[float]
    edits: int = 0
    cost: float = 0.0
    repairable: int = 0


@dataclass(frozen=True)
class Pool:
    """All pooled candidates of one kind, and the readings they come from."""

    kind: CandidateKind
    readings: tuple[DocumentLayout, ...]
    entries: tuple[Pooled, ...]
    vocabulary: frozenset[str]


def pool_candidates(readings: Sequence[DocumentLayout], kind: CandidateKind, vocabulary: frozenset[str]) -> Pool:
    """Return the distinct candidates of one kind over all readings; the first reading's come first, in its order."""
    found: dict[object, Pooled] = {}
    for number, layout in enumerate(readings[:MAX_READINGS]):
        of_words = kind in ("name", "address")
        repaired = repair_segments(layout.segments, _has_accents(layout), vocabulary) if of_words else ()
        for candidate in propose(layout, kind):
            fixed = _repaired(candidate, repaired) if repaired else None
            entry = _add(found, candidate, number, layout, None)
            entry.repairable = max(entry.repairable, fixed.edits if fixed else 0)
            if fixed is not None:
                _add(found, replace(candidate, value=fixed.text), number, layout, fixed)
    return Pool(kind, tuple(readings[:MAX_READINGS]), tuple(found.values()), vocabulary)


def _add(
    found: dict[object, Pooled],
    candidate: Candidate,
    number: int,
    layout: DocumentLayout,
    fixed: Repair | None,
) -> Pooled:
    """Add one candidate; places of a value printed several times stay apart, since each has its own surroundings."""
    value = spelling(candidate.value) if candidate.kind in ("name", "address", "identifier") else candidate.value
    key = value if candidate.kind in ("name", "address") else (value, _place(layout, candidate))
    entry = found.get(key)
    if entry is None:
        entry = Pooled(candidate, number, [False] * MAX_READINGS, [False] * MAX_READINGS, [0.0] * MAX_READINGS)
        found[key] = entry
        if fixed is not None:
            entry.edits, entry.cost = fixed.edits, fixed.cost
    (entry.repaired_from if fixed is not None else entry.read_by)[number] = True
    probabilities = [p for s, a, b in candidate.spans for p in layout.segments[s].certainties(a, b)]
    entry.confidences[number] = max(entry.confidences[number], sum(probabilities) / max(len(probabilities), 1))
    if fixed is None and number > entry.reading and not any(entry.read_by[: entry.reading + 1]) and entry.edits:
        entry.edits, entry.cost = 0, 0.0  # another reading says it outright
    return entry


def _place(layout: DocumentLayout, candidate: Candidate) -> tuple[int, float, float]:
    """Where a value stands, coarse enough that readings of the same line agree (they share the line's box)."""
    segment = layout.segments[candidate.first[0]]
    return segment.page, round(segment.box[0], 3), round(segment.box[1], 3)


def _has_accents(layout: DocumentLayout) -> bool:
    text = "".join(s.text for s in layout.segments)
    return sum(a != b for a, b in zip(text, plain(text), strict=True)) > _ACCENTS_FROM * max(len(text), 1)


def _repaired(candidate: Candidate, repaired: Sequence[RepairedSegment]) -> Repair | None:
    done = repair_of(candidate.spans, repaired)
    return done if done is not None and spelling(done.text) != spelling(candidate.value) else None


def spelling(text: str) -> str:
    """Return letters, with their accents, and digits in capitals: what makes two names or addresses different."""
    return "".join(c for c in text.upper() if c.isalnum())


@dataclass(frozen=True)
class Described:
    """Features of a pool's entries: `matrix` (entries, columns) float32 of `pool_columns(kind)`, label columns zero."""

    pool: Pool
    matrix: np.ndarray
    contexts: tuple[Context, ...]

    def for_labels(self, pattern: re.Pattern[str] | None) -> np.ndarray:
        """Return the matrix with the label columns set for a field's own label words."""
        if pattern is None or not self.contexts:
            return self.matrix
        matrix = self.matrix.copy()
        matrix[:, label_columns(self.pool.kind)] = [label_matches(context, pattern) for context in self.contexts]
        return matrix


def describe_pool(pool: Pool) -> Described:
    """Return the features of all entries."""
    width = len(column_names(pool.kind))
    matrix = np.zeros((len(pool.entries), width + len(VOTE_COLUMNS)), np.float32)
    contexts: dict[int, Context] = {}
    for number, layout in enumerate(pool.readings):
        rows = [i for i, entry in enumerate(pool.entries) if entry.reading == number]
        if rows:
            block, around = describe(layout, [pool.entries[i].candidate for i in rows], pool.kind)
            matrix[rows, :width] = block
            contexts |= dict(zip(rows, around, strict=True))
    for i, entry in enumerate(pool.entries):
        matrix[i, width:] = _votes(entry, pool)
    return Described(pool, matrix, tuple(contexts[i] for i in range(len(pool.entries))))


def _votes(entry: Pooled, pool: Pool) -> tuple[float, ...]:
    of_words = pool.kind in ("name", "address")
    spelled = unknown_share(entry.candidate.value, pool.vocabulary) if of_words else 0.0
    share = sum(a or b for a, b in zip(entry.read_by, entry.repaired_from, strict=True)) / len(pool.readings)
    plainly = any(entry.read_by)
    return (
        not plainly, entry.edits, entry.cost, spelled, entry.repairable, share,
        *entry.read_by, *entry.repaired_from, *entry.confidences,
    )  # fmt: skip


@cache
def pool_columns(kind: CandidateKind) -> tuple[str, ...]:
    """Return the names of the columns of a described pool."""
    return (*column_names(kind), *VOTE_COLUMNS)


@cache
def generic_columns(kind: CandidateKind) -> np.ndarray:
    """Return which columns a field without a model of its own uses: all but the fixed concepts, its labels stand in."""
    concepts = set(concept_names())
    return np.array(
        [":" not in n or n.split(":", 1)[1] not in concepts or not _is_place(n) for n in pool_columns(kind)]
    )


def _is_place(name: str) -> bool:
    return name.split(":", 1)[0] in {"left", "left_far", "above", "header", "row_before", "below"}
