"""Reads one table of one page, question after question, until it is whole. Knows questions and rows; no model.

A long table does not go into one answer. Where one breaks off, its whole rows are kept and the next question asks for
those behind the last of them.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from backends.answers import Answer, parse_answer
from backends.base import Generation, GenerationRequest
from backends.prompts import AnswerForm, json_schema, table_prompt
from router.schema import FieldSpec, Schema
from router.types import Page

Row = Mapping[str, str]
ROW_TOKENS, CELL_TOKENS = 8, 16
"""A transaction of five columns takes 65 tokens as JSON in InternVL's vocabulary, where every digit is one."""
MAX_QUESTIONS = 40
MAX_ROWS = 10_000
_LEAST_RUN = 3
"""So many equal rows at the end of an answer that ended in a circle are one row."""


@dataclass(frozen=True)
class TableAnswer:
    """One answer with the rows that are new in it: `kept` are their places among the answer's rows."""

    generation: Generation
    answer: Answer
    kept: range


@dataclass(frozen=True)
class PageTable:
    """What a page's table was read to be. `missing` says which rows were not read, None where all were.

    `absence` is the answer that claimed that the page has no such table. Neither answers nor absence: nothing readable
    was said.
    """

    page: int
    answers: tuple[TableAnswer, ...] = ()
    absence: TableAnswer | None = None
    missing: str | None = None


@dataclass(frozen=True)
class TableQuestion:
    """The table that is asked for: on which page, as `shown` says it, of at most how many rows."""

    schema: Schema
    spec: FieldSpec
    page: int
    shown: str
    row_bound: int
    form: AnswerForm = "lines"

    def request(self, base: GenerationRequest, rows: Sequence[Row]) -> GenerationRequest:
        """Return the question for the rows behind those that were read."""
        last = self._written(rows[-1]) if rows else ""
        left = max(1, self.row_bound - len(rows))
        return replace(
            base,
            prompt=table_prompt(self.schema, self.spec.name, self.form, self.shown, len(rows), last),
            max_tokens=32 + left * (ROW_TOKENS + CELL_TOKENS * len(self.spec.columns)),
            answer_schema=json_schema(self.schema, (self.spec.name,)) if self.form == "json" else None,
        )

    def _written(self, row: Row) -> str:
        cells = {column.name: row.get(column.name, "") for column in self.spec.columns}
        return json.dumps(cells, ensure_ascii=False) if self.form == "json" else " | ".join(cells.values())


def read_table(
    question: TableQuestion, base: GenerationRequest, said: list[Generation]
) -> Generator[GenerationRequest, Generation, PageTable]:
    """Ask for a table until it is whole or no more of it comes; return what was read. `said` gets every answer."""
    answers: list[TableAnswer] = []
    rows: list[Row] = []
    for _ in range(MAX_QUESTIONS):
        generation = yield question.request(base, rows)
        said.append(generation)
        ended = generation.finish_reason == "stop"
        answer = parse_answer(generation.text, (question.spec.name,), not ended, schema=question.schema).fields.get(
            question.spec.name
        )
        if answer is None or answer.rows is None:
            return _without_rows(question, answers, rows, generation, answer)
        kept = new_rows(rows, answer.rows, circling=generation.finish_reason == "repetition")
        answers.append(TableAnswer(generation, answer, kept))
        rows += [answer.rows[place] for place in kept]
        if ended and answer.whole:
            return PageTable(question.page, tuple(answers))
        if not kept or len(rows) >= MAX_ROWS or generation.finish_reason in ("deadline", "cancelled", "refusal"):
            break
    return PageTable(question.page, tuple(answers), missing=_missing(question, rows))


def unshown(pages: Sequence[Page], most: int) -> PageTable:
    """Return what is known of a table on pages behind the `most` that a lane shows: nothing."""
    first, last = pages[0].number, pages[-1].number
    named = f"page {first}" if first == last else f"pages {first} to {last}"
    return PageTable(first, missing=f"{named}: not shown, the lane shows {most} pages at most (max_pages)")


def new_rows(known: Sequence[Row], rows: Sequence[Row], circling: bool = False) -> range:
    """Return the places of the rows that go on behind the known ones: a model may repeat some, or begin anew."""
    end = _without_run(rows) if circling else len(rows)
    if not known:
        return range(end)
    for repeated in range(min(len(known), end), 0, -1):
        if list(rows[:repeated]) == list(known[-repeated:]):
            return range(repeated, end)
    again = next((n for n, (a, b) in enumerate(zip(known, rows, strict=False)) if a != b), min(len(known), end))
    return range(again if again > 1 else 0, end)


def _without_run(rows: Sequence[Row]) -> int:
    """Return where rows end when those that are repeated at the end count once."""
    run = 1
    while run < len(rows) and rows[-run - 1] == rows[-1]:
        run += 1
    return len(rows) if run < _LEAST_RUN else len(rows) - run + 1


def _without_rows(
    question: TableQuestion, answers: list[TableAnswer], rows: list[Row], generation: Generation, answer: Answer | None
) -> PageTable:
    """An answer without rows: nothing more, no such table, or nothing that could be read."""
    absent = answer is not None and answer.raw is None
    if answers:
        return PageTable(question.page, tuple(answers), missing=None if absent else _missing(question, rows))
    if answer is not None and absent:
        return PageTable(question.page, absence=TableAnswer(generation, answer, range(0)))
    return PageTable(question.page)


def _missing(question: TableQuestion, rows: Sequence[Row]) -> str:
    if not rows:
        return f"page {question.page}: no row could be read"
    last = ", ".join(filter(None, (rows[-1].get(column.name, "") for column in question.spec.columns)))
    return f"page {question.page}: what follows row {len(rows)} ({last}) was not read"
