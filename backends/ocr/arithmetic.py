"""What an amount's figures say about it: is it a sum, a difference, a tax share of others? Knows no field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends.ocr.candidates import Candidate
from backends.ocr.concepts import concepts_in
from backends.ocr.context import Context
from backends.ocr.layout import DocumentLayout

_MAX_DISTINCT = 80


FACT_COLUMNS = (
    "is_sum_of_two", "is_part_of_sum", "is_difference", "is_tendered_minus_change", "is_tax_sum", "is_tax_share",
    "is_base_of_tax", "is_sum_of_above", "is_largest", "is_zero", "is_negative", "times_printed", "times_with_total",
    "rounds_to_five_cents", "is_near_other", "row_amounts",
)  # fmt: skip
"""Columns that compare an amount with the document's other amounts; all in {0,1} but the counts."""


def amount_facts(layout: DocumentLayout, candidates: Sequence[Candidate], contexts: Sequence[Context]) -> np.ndarray:
    """Return (candidates, FACT_COLUMNS) float32; sums are exact in cents."""
    cents = [round(float(c.value) * 100) for c in candidates]
    labels = [concepts_in(f"{x.left} {x.left_far}") for x in contexts]
    sets = _Sets(cents, labels)
    rows_of = [layout.row_of[c.first[0]] for c in candidates]
    rows = []
    running = _running_sums(cents, contexts, rows_of)
    for i, value in enumerate(cents):
        rows.append(
            (*sets.describe(value), value in running[i], *_plain(value, cents), *_printed(i, cents, labels, rows_of))
        )
    return np.array(rows, np.float32)


class _Sets:
    """Amounts of the document by what their labels say, and what they add up to."""

    def __init__(self, cents: list[int], labels: list[frozenset[str]]) -> None:
        positive = sorted({v for v in cents if v > 0}, reverse=True)[:_MAX_DISTINCT]
        self.all = set(positive)
        self.sums = {a + b for n, a in enumerate(positive) for b in positive[n + 1 :]}
        self.differences = {a - b for n, a in enumerate(positive) for b in positive[n + 1 :]}
        cash = {v for v, names in zip(cents, labels, strict=True) if "cash" in names}
        change = {v for v, names in zip(cents, labels, strict=True) if "change" in names}
        tax = {v for v, names in zip(cents, labels, strict=True) if "tax" in names and v > 0}
        self.paid = {a - b for a in cash for b in change}
        self.with_tax = {a + t for a in positive for t in tax if t < a}

    def describe(self, value: int) -> tuple[float, ...]:
        partners = any(value + other in self.all for other in self.all if other != value)
        rates = (5, 6, 7, 8, 9, 10, 15, 19, 20, 21, 22, 25)
        share = any(abs(value * 100 - base * r) < 100 for base in self.all for r in rates if base > value)
        base = any(abs(tax * 100 - value * r) < 100 for tax in self.all for r in rates if 0 < tax < value)
        return (
            value in self.sums,
            partners,
            value in self.differences,
            value in self.paid,
            value in self.with_tax,
            share,
            base,
        )


def _running_sums(cents: list[int], contexts: Sequence[Context], rows_of: list[int]) -> list[set[int]]:
    """For each amount, the sums of the last amounts of preceding rows, taken from every starting row."""
    result: list[set[int]] = []
    last_of_row: dict[int, int] = {}
    for i, row in enumerate(rows_of):
        above = [cents[k] for r, k in sorted(last_of_row.items(), reverse=True) if r < row][:40]
        sums, total = set(), 0
        for n, value in enumerate(above):
            total += value
            if n >= 1:
                sums.add(total)
        result.append(sums)
        last_of_row[row] = i
    return result


def _plain(value: int, cents: list[int]) -> tuple[float, ...]:
    return (value == max(cents), value == 0, value < 0)


def _printed(i: int, cents: list[int], labels: list[frozenset[str]], rows_of: list[int]) -> tuple[float, ...]:
    value = cents[i]
    same = [k for k, other in enumerate(cents) if other == value]
    with_total = sum(bool(labels[k] & {"total", "grand_total", "payable"}) for k in same)
    near = any(0 < abs(other - value) <= 4 for other in cents)
    return (min(len(same), 9), min(with_total, 9), value % 5 == 0, near, min(rows_of.count(rows_of[i]), 9))
