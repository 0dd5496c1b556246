"""What an answer says of each field, and where. Knows no form of answer."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]
"""Start and end in the text of an answer."""


@dataclass(frozen=True)
class Answer:
    """One field as the model wrote it; `raw` None is the claim of absence.

    `start` to `end` is the value alone, without quotes, marks and comments. Of a table, `rows` are the rows, `cells`
    the span of each of their cells, `whole` is False where rows behind the last one were cut off or unreadable, and
    `last_row_end` is where the last row ends.
    """

    raw: str | None
    start: int
    end: int
    rows: tuple[dict[str, str], ...] | None = None
    cells: tuple[dict[str, Span], ...] = ()
    whole: bool = True
    last_row_end: int | None = None


@dataclass(frozen=True)
class ParsedAnswer:
    """The wanted fields that were answered, how many other keys were dropped, and whether the model declined."""

    fields: dict[str, Answer]
    dropped: int
    refused: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a table while it is read: cells and their spans, and where the row ends."""

    cells: dict[str, str]
    spans: dict[str, Span]
    end: int
