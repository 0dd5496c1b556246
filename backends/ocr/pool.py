"""The distinct candidates of one reading, each word repaired where that is possible, and their features.

Knows candidates and repairs; must not know fields or weights. A repaired value stands beside the one that was read.
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

REPAIR_COLUMNS = ("repaired", "edits", "repair_cost", "unknown_share", "repairable")
_ACCENTS_FROM = 0.01


@dataclass
class Pooled:
    """One value: its candidate, the repair that leads to it (None where it was read so), and possible edits."""

    candidate: Candidate
    repair: Repair | None = None
    repairable: int = 0
    unknown: float = 0.0


@dataclass(frozen=True)
class Pool:
    """All distinct candidates of one kind in one reading."""

    kind: CandidateKind
    layout: DocumentLayout
    entries: tuple[Pooled, ...]

    def certainties(self, entry: Pooled) -> list[float]:
        """Return the confidences of the letters and digits of an entry."""
        return [p for s, a, b in entry.candidate.spans for p in self.layout.segments[s].certainties(a, b)]


def pool_candidates(layout: DocumentLayout, kind: CandidateKind, vocabulary: frozenset[str]) -> Pool:
    """Return the distinct candidates of one kind, in reading order."""
    of_words = kind in ("name", "address")
    repaired = repair_segments(layout.segments, _has_accents(layout), vocabulary) if of_words else ()
    found: dict[object, Pooled] = {}
    for candidate in propose(layout, kind):
        fixed = _repaired(candidate, repaired) if repaired else None
        entry = found.setdefault(_key(layout, candidate), Pooled(candidate))
        entry.repair = None  # read outright, whatever another place could be repaired to
        entry.repairable = max(entry.repairable, fixed.edits if fixed else 0)
        if fixed is not None:
            better = replace(candidate, value=fixed.text)
            found.setdefault(_key(layout, better), Pooled(better, fixed))
    for entry in found.values():
        entry.unknown = unknown_share(entry.candidate.value, vocabulary) if of_words else 0.0
    return Pool(kind, layout, tuple(found.values()))


def _key(layout: DocumentLayout, candidate: Candidate) -> object:
    """Places of a date, amount or identifier stay apart, as each has its own surroundings; names do not."""
    if candidate.kind in ("name", "address"):
        return spelling(candidate.value)
    segment = layout.segments[candidate.first[0]]
    return spelling(candidate.value), segment.page, segment.box


def _has_accents(layout: DocumentLayout) -> bool:
    text = "".join(s.text for s in layout.segments)
    return sum(a != b for a, b in zip(text, plain(text), strict=True)) > _ACCENTS_FROM * max(len(text), 1)


def _repaired(candidate: Candidate, repaired: Sequence[RepairedSegment]) -> Repair | None:
    done = repair_of(candidate.spans, repaired)
    return done if done is not None and spelling(done.text) != spelling(candidate.value) else None


def spelling(text: str) -> str:
    """Return letters, accents kept, and digits in capitals: what makes values different; all text if none."""
    return "".join(c for c in text.upper() if c.isalnum()) or text


@dataclass(frozen=True)
class Described:
    """The features of a pool: `matrix` (entries, columns) float32 of `pool_columns(kind)`, label columns zero."""

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
    block, contexts = describe(pool.layout, [e.candidate for e in pool.entries], pool.kind)
    repairs = np.array([_repair_features(e) for e in pool.entries], np.float32).reshape(-1, len(REPAIR_COLUMNS))
    return Described(pool, np.concatenate([block, repairs], axis=1), tuple(contexts))


def _repair_features(entry: Pooled) -> tuple[float, ...]:
    done = entry.repair
    edits, cost = (done.edits, done.cost) if done else (0, 0.0)
    return (done is not None, edits, cost, entry.unknown, entry.repairable)


@cache
def pool_columns(kind: CandidateKind) -> tuple[str, ...]:
    """Return the names of the columns of a described pool."""
    return (*column_names(kind), *REPAIR_COLUMNS)


@cache
def generic_columns(kind: CandidateKind) -> np.ndarray:
    """Return which columns a field without a model of its own uses: all but the fixed concepts, its labels stand in."""
    concepts = set(concept_names())
    return np.array([n.partition(":")[2] not in concepts or not _is_place(n) for n in pool_columns(kind)])


def _is_place(name: str) -> bool:
    return name.partition(":")[0] in {"left", "left_far", "above", "header", "row_before", "below"}
