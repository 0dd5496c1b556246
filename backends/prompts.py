"""The questions that are put to a model. Knows schemas; chat templates and image tokens are the model's own.

Every question can be asked alone: it says which document, which pages and which fields it means. The texts are
versioned: confidence is calibrated on the answers to one prompt, so a changed prompt is another prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from backends.kinds import KINDS
from router.schema import AUTO, FieldSpec, Schema

AnswerForm = Literal["lines", "json"]
"""How a model is asked to answer; the parser reads both, whatever was asked for."""
PROMPT_VERSION = "2"
NOT_FOUND = "NOT_FOUND"
KIND_TOKENS = 12
"""Bounds the answer to `kind_prompt`."""

_FORM = {
    "text": "text as printed, on one line",
    "date": "date as printed",
    "period": "first and last day as printed, with a hyphen between them",
    "amount": "number as printed, without the currency",
    "identifier": "characters as printed",
    "boolean": "true or false",
    "enum": "one of the listed words",
    "table": "rows as printed",
}
_OWN_FORM = {"currency": "three letters such as AUD or EUR, also where the document prints a sign"}
"""By the name of a field whose value is not printed as it is wanted."""

_ASK: dict[AnswerForm, tuple[str, ...]] = {
    "lines": (
        "Answer with one line for each field, in the order of the list: the name, a colon, the value.",
        f"Write {NOT_FOUND} when the document does not show a field. Never guess, never explain.",
        "",
        "An answer has this form:",
        "delivery_note_number: 7731-B",
        f"pickup_date: {NOT_FOUND}",
    ),
    "json": (
        "Answer with one JSON object that has every field of the list as a key, and nothing else.",
        "Write null when the document does not show a field. Never guess, never explain.",
        "",
        "An answer has this form:",
        '{"delivery_note_number": "7731-B", "pickup_date": null}',
    ),
}
"""The example shows fields that no schema has: a small model copies what it is shown."""


def prompt_version(form: AnswerForm = "lines") -> str:
    """Return the version under which answers of this form are calibrated."""
    return PROMPT_VERSION if form == "lines" else f"{PROMPT_VERSION}-{form}"


def kind_prompt(shown: str = "") -> str:
    """Return the question for the kind of document, to be answered with one of `backends.kinds`' words."""
    words = ", ".join(kind.words[0] for kind in KINDS)
    return "\n".join([*_note(shown), "What kind of document is this?", f"Answer with one of these only: {words}."])


def fields_prompt(schema: Schema, wanted: Sequence[str], form: AnswerForm = "lines", shown: str = "") -> str:
    """Return the question for fields outside tables; its last block has a line `name (kind): what it is` for each.

    `shown` says which of a document's pages are in the pictures, where not all are.
    """
    lines = [
        *_note(shown),
        f"Read this {_subject(schema)} and copy out the fields listed below.",
        *_ASK[form],
        "",
        "Fields:",
        *(_field_line(schema.field(name)) for name in wanted),
    ]
    return "\n".join(lines)


def table_prompt(
    schema: Schema, name: str, form: AnswerForm = "lines", shown: str = "", rows_read: int = 0, last_row: str = ""
) -> str:
    """Return the question for the rows of one table on one page, or for those behind a row that was read already.

    `last_row` is that row as the model wrote it, the last of `rows_read`.
    """
    spec = schema.field(name)
    columns = [column.name for column in spec.columns]
    absent = NOT_FOUND if form == "lines" else "null"
    lines = [
        *_note(shown),
        f"Copy out a table of this {_subject(schema)}, row by row, from the first to the last row of the page.",
        *_rows_form(name, columns, form),
        "Leave a cell empty where nothing is printed in it. Leave out headings, sums and balances carried forward.",
        f"Write {absent} when the page shows no such row. Never guess, never explain.",
        "",
        "Fields:",
        f"{name} (table): {_what(spec)}; columns {', '.join(columns)}",
    ]
    if last_row:
        lines += ["", f"{rows_read} rows have been copied out already. The last of them is:", last_row]
        lines += ["Go on with the row after it."]
    return "\n".join(lines)


def _rows_form(name: str, columns: Sequence[str], form: AnswerForm) -> list[str]:
    if form == "json":
        row = ", ".join(f'"{column}": "..."' for column in columns)
        return [
            "Answer with one JSON object that holds a list of rows, and nothing else:",
            f'{{"{name}": [{{{row}}}, ...]}}',
        ]
    return ["Write each row on a line of its own, its cells as printed and separated by |:", " | ".join(columns)]


def json_schema(schema: Schema, wanted: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of an answer, for servers that hold a model to one; null is the claim of absence.

    All values are strings, because they are copied as printed.
    """
    return {
        "type": "object",
        "properties": {name: _json_kind(schema.field(name)) for name in wanted},
        "required": list(wanted),
        "additionalProperties": False,
    }


def answer_tokens(wanted: Sequence[str]) -> int:
    """Return how many tokens bound an answer to `fields_prompt`: a line each."""
    return 32 + 64 * len(wanted)


def _note(shown: str) -> list[str]:
    return [shown] if shown else []


def _subject(schema: Schema) -> str:
    return "document" if schema.name == AUTO else schema.name.replace("_", " ")


def _field_line(spec: FieldSpec) -> str:
    text = _what(spec)
    if spec.values:
        text += "; one of " + ", ".join(spec.values)
    return f"{spec.name} ({spec.kind}): {text}; {_OWN_FORM.get(spec.name) or _FORM[spec.kind]}"


def _what(spec: FieldSpec) -> str:
    return spec.description or spec.name.replace("_", " ")


def _json_kind(spec: FieldSpec) -> dict[str, Any]:
    if spec.kind != "table":
        return {"type": ["string", "null"]}
    names = [column.name for column in spec.columns]
    cells = {name: {"type": ["string", "null"]} for name in names}
    row = {"type": "object", "properties": cells, "required": names, "additionalProperties": False}
    return {"type": ["array", "null"], "items": row}
