"""Groups a table's lines into rows: which lines carry a row's numbers, and which text lines belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from backends.ocr.table_columns import Entry
from backends.ocr.table_lines import Line, Number, Piece

_TIGHT = 1.3  # a text line belongs to a row when the gap to it is below this many line heights


@dataclass
class Draft:
    """A row being read: words and numbers by column name; `lines` top to bottom, `anchor` the one with the numbers."""

    anchor: Line
    words: dict[str, list[Piece]] = field(default_factory=dict)
    numbers: dict[str, Number] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    weak: bool = False
    check: bool | None = None
    extra: list[Number] = field(default_factory=list)
    """Numbers of columns that were not asked for."""


@dataclass(frozen=True)
class Item:
    """A line inside a table: an anchor (with a row's numbers) or a text line. `starts` marks the start of a row."""

    entry: Entry
    anchor: bool
    weak: bool
    """An anchor without a description of its own."""
    starts: bool = False


def group_lines(items: Sequence[Item], below_header: bool) -> list[tuple[Item, list[Item]]]:
    """Return each anchor with all its lines, itself included, top to bottom; text lines of no row are left out.

    A text line goes to the anchor that lacks a description; between two that lack one the table's order decides (name
    above or below its numbers), between two that do not, the nearer one, and never over a gap wider than a line.
    """
    anchors = [i for i, item in enumerate(items) if item.anchor]
    owned: dict[int, list[int]] = {a: [a] for a in anchors}
    above = _name_stands_above(items, anchors, below_header)
    for before, after in zip([None, *anchors], [*anchors, None], strict=True):
        start = 0 if before is None else before + 1
        end = len(items) if after is None else after
        for_before, for_after = _divide(items, before, after, list(range(start, end)), above)
        for_after = for_after[-1:] if before is None and not below_header else for_after
        if before is not None:
            owned[before] += for_before
        if after is not None:
            owned[after] += for_after
    return [(items[a], [items[i] for i in sorted(owned[a])]) for a in anchors]


def _name_stands_above(items: Sequence[Item], anchors: Sequence[int], below_header: bool) -> bool:
    """Return whether anchors without a description have it on the line above rather than below."""
    weak = [a for a in anchors if items[a].weak]
    if not weak:
        return False
    if weak[-1] == anchors[-1] and not _tight_text(items, weak[-1], weak[-1] + 1):
        return True
    if weak[0] == anchors[0] and not _tight_text(items, weak[0], weak[0] - 1):
        return False
    if below_header:
        return not items[0].anchor
    over = sum(_tight_text(items, a, a - 1) for a in weak)
    under = sum(_tight_text(items, a, a + 1) for a in weak)
    return over >= under


def _tight_text(items: Sequence[Item], anchor: int, other: int) -> bool:
    return 0 <= other < len(items) and not items[other].anchor and _tight(items[anchor], items[other])


def _tight(a: Item, b: Item) -> bool:
    return _gap(a, b) < _TIGHT * max(a.entry.line.height, b.entry.line.height)


def _gap(a: Item, b: Item) -> float:
    """Return the blank height between two lines, infinite between pages."""
    first, second = sorted((a.entry.line, b.entry.line), key=lambda line: (line.page, line.top))
    return second.top - first.bottom if first.page == second.page else float("inf")


def _divide(
    items: Sequence[Item], before: int | None, after: int | None, run: list[int], above: bool
) -> tuple[list[int], list[int]]:
    """Split a run of text lines between two anchors."""
    starts = next((k for k, i in enumerate(run) if items[i].starts), None)
    if starts is not None and after is not None and not items[after].starts:
        return _chain(items, before, run[:starts]), run[starts:]
    weak_before = before is not None and items[before].weak
    weak_after = after is not None and items[after].weak
    if weak_after and (not weak_before or above):
        taken = _chain(items, after, run[::-1])[::-1]
        rest = [i for i in run if i not in taken]
        return ([], taken) if weak_before else (_chain(items, before, rest) if rest and not taken else [], taken)
    if weak_before:
        return _chain(items, before, run), []
    if before is None:
        return [], _chain(items, after, run[::-1])[::-1][-1:] if _closer_than_rows(items, after, run) else []
    cut = _cut(items, before, after, run)
    return _chain(items, before, run[:cut]), _chain(items, after, run[cut:][::-1])[::-1]


def _closer_than_rows(items: Sequence[Item], after: int | None, run: list[int]) -> bool:
    """A line above the first row belongs to it only when it touches it, as the first of three centred lines does."""
    return bool(run) and after is not None and _gap(items[run[-1]], items[after]) < 0.1 * items[after].entry.line.height


def _cut(items: Sequence[Item], before: int, after: int | None, run: list[int]) -> int:
    """Return where the widest gap divides the run; a row's text goes on below it when gaps are alike."""
    if after is None or not run:
        return len(run)
    chain = [before, *run, after]
    gaps = [_gap(items[a], items[b]) for a, b in pairwise(chain)]
    height = items[before].entry.line.height
    widest = max(range(len(gaps)), key=lambda i: gaps[i])
    return len(run) if gaps[widest] - gaps[-1] < 0.2 * height else widest


def _chain(items: Sequence[Item], anchor: int | None, run: Sequence[int]) -> list[int]:
    """Return the lines of a run, going away from the anchor, up to the first wide gap."""
    taken: list[int] = []
    last = anchor
    for index in run:
        if last is None or not _tight(items[last], items[index]):
            break
        taken.append(index)
        last = index
    return taken
