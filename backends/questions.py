"""The questions about one part of a document, in their order. Knows schemas and answers; not how models are run.

First the kind of document where the schema is left open, then the fields outside tables, then each table apart, page by
page: a slip in a long table costs no other field, and every answer is short enough to be given whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from backends.answers import Answer, ParsedAnswer, parse_answer, read_kind
from backends.base import Dialogue, Generation, GenerationRequest
from backends.kinds import kind_words, schema_of
from backends.page_rows import row_bound
from backends.prompts import KIND_TOKENS, AnswerForm, answer_tokens, fields_prompt, json_schema, kind_prompt
from backends.table_reading import PageTable, TableQuestion, read_table
from router.schema import AUTO, Schema, builtin, builtin_names
from router.types import Page

KIND_FIELD = "document_type"
FINISHED = ("stop", "refusal")
"""How an answer ends that was not cut off."""


@dataclass(frozen=True)
class Said:
    """One answer and what was understood of it."""

    generation: Generation
    parsed: ParsedAnswer


@dataclass(eq=False)
class PartReading:
    """Pages that go into one prompt, and what is said about them as the dialogue goes on.

    `schema` is `auto` until the kind is known, and `wanted` are then the fields that it led to. `answers` hold fields
    outside tables, `tables` what was read of each table page by page, `generations` all that was said.
    """

    pages: tuple[Page, ...]
    page_count: int
    base: GenerationRequest
    schema: Schema
    wanted: tuple[str, ...]
    form: AnswerForm = "lines"
    answers: list[Said] = field(default_factory=list)
    tables: dict[str, list[PageTable]] = field(default_factory=dict)
    generations: list[Generation] = field(default_factory=list)
    _row_bounds: tuple[int, ...] = ()

    def dialogue(self) -> Dialogue:
        """Ask everything about these pages, one question after the other."""
        if any(self.schema.field(name).kind == "table" for name in self.wanted):
            # before anything is asked: between two questions a model may keep a place for this dialogue
            self._row_bounds = tuple(map(row_bound, self.pages, self.base.images))
        if self.schema.name == AUTO:
            yield from self._ask_kind()
        known = {name for said in self.answers for name in said.parsed.fields}
        flat = [n for n in self.wanted if self.schema.field(n).kind != "table" and n not in known]
        if flat:
            yield from self._ask_fields(flat)
        if self.schema.name == AUTO:
            self.narrow(_schema_by_fields(self.answers))
        for name in self.wanted:
            if self.schema.field(name).kind == "table":
                yield from self._ask_table(name)

    def narrow(self, schema: Schema) -> None:
        """Go on with the fields of the schema that `auto` led to."""
        self.schema, self.wanted = schema, tuple(name for name in schema.names() if name in self.wanted)

    def said_of(self, name: str) -> Said:
        """Return the answer that says something of a field outside tables, else the last one, which should have."""
        return next((said for said in self.answers if name in said.parsed.fields), self.answers[-1])

    def shown_signals(self) -> dict[str, float]:
        """Return how these pages were shown to the model, in numbers."""
        return dict(self.generations[0].signals) if self.generations else {}

    def _ask_kind(self) -> Dialogue:
        generation = yield replace(self.base, prompt=kind_prompt(self._shown()), max_tokens=KIND_TOKENS)
        self.generations.append(generation)
        told = read_kind(generation.text, kind_words())
        if told is None:
            return  # then the fields of all kinds are asked for, and the answers tell
        kind, start, end = told
        self.narrow(builtin(schema_of(kind)))
        if KIND_FIELD in self.wanted:
            self.answers.append(Said(generation, ParsedAnswer({KIND_FIELD: Answer(kind, start, end)}, 0)))

    def _ask_fields(self, names: Sequence[str]) -> Dialogue:
        generation = yield replace(
            self.base,
            prompt=fields_prompt(self.schema, names, self.form, self._shown()),
            max_tokens=answer_tokens(names),
            answer_schema=json_schema(self.schema, names) if self.form == "json" else None,
        )
        self.generations.append(generation)
        cut = generation.finish_reason not in FINISHED
        parsed = parse_answer(generation.text, tuple(names), cut, schema=self.schema)
        self.answers.append(Said(generation, parsed))

    def _ask_table(self, name: str) -> Dialogue:
        self.tables[name] = []
        for page, bound in zip(self.pages, self._row_bounds, strict=True):
            question = TableQuestion(
                self.schema, self.schema.field(name), page.number, self._only(page), bound, self.form
            )
            table = yield from read_table(question, self.base, self.generations)
            self.tables[name].append(table)

    def _shown(self) -> str:
        """Say which page is shown where it is not the whole document; several have captions."""
        if len(self.pages) > 1 or self.page_count == 1:
            return ""
        return f"This is page {self.pages[0].number} of {self.page_count} of a document."

    def _only(self, page: Page) -> str:
        return f"Look at page {page.number} only." if len(self.pages) > 1 else self._shown()


def captions(pages: Sequence[Page], page_count: int) -> tuple[str, ...]:
    """Return a text before each of several pictures: which page it is."""
    return tuple(f"Page {page.number} of {page_count}:" for page in pages) if len(pages) > 1 else ()


def _schema_by_fields(answers: Sequence[Said]) -> Schema:
    """Return the schema most of whose fields were answered with a value."""
    said = {name for answer in answers for name, value in answer.parsed.fields.items() if value.raw is not None}
    names = [name for name in builtin_names() if name != AUTO]
    return builtin(max(names, key=lambda name: len(said & set(builtin(name).names()))))
