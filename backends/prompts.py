"""The prompt that asks a model for fields. Knows schemas, not models: chat templates and image tokens are the model's
own.

The text is versioned: confidence is calibrated on the answers to one prompt, so a changed prompt is another prompt.
"""

from __future__ import annotations

from typing import Any, Literal

from router.schema import AUTO, FieldSpec, Schema

AnswerForm = Literal["lines", "json"]
"""How a model is asked to answer; the parser reads both, whatever was asked for."""
PROMPT_VERSION = "1"
NOT_FOUND = "NOT_FOUND"

_FORM = {
    "text": "text as printed, on one line",
    "date": "date as printed",
    "period": "first and last day as printed",
    "amount": "number as printed, without the currency",
    "identifier": "characters as printed",
    "boolean": "true or false",
    "enum": "one of the listed words",
    "table": "JSON list of rows on one line",
}


_ASK: dict[AnswerForm, tuple[str, str]] = {
    "lines": (
        "Answer with one line for each field, in the order of the list: the name, a colon, the value.",
        f"Write {NOT_FOUND} when the document does not show a field. Never guess, never explain.",
    ),
    "json": (
        "Answer with one JSON object that has every field of the list as a key, and nothing else.",
        "Write null when the document does not show a field. Never guess, never explain.",
    ),
}


def prompt_version(form: AnswerForm = "lines") -> str:
    """Return the version under which answers of this form are calibrated."""
    return PROMPT_VERSION if form == "lines" else f"{PROMPT_VERSION}-{form}"


def build_prompt(schema: Schema, wanted: tuple[str, ...], form: AnswerForm = "lines") -> str:
    """Return the prompt for the wanted fields; its last block has a line `name (kind): what it is` for each."""
    subject = "document" if schema.name == AUTO else schema.name.replace("_", " ")
    lines = [
        f"Read this {subject} and copy out the fields listed below.",
        *_ASK[form],
        "",
        "Fields:",
        *(_field_line(schema.field(name)) for name in wanted),
    ]
    return "\n".join(lines)


def json_schema(schema: Schema, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON schema of an answer, for servers that hold a model to one; null is the claim of absence.

    All values are strings, because they are copied as printed.
    """
    return {
        "type": "object",
        "properties": {name: _json_kind(schema.field(name)) for name in wanted},
        "required": list(wanted),
        "additionalProperties": False,
    }


def answer_tokens(schema: Schema, wanted: tuple[str, ...]) -> int:
    """Return how many tokens bound a whole answer: tables are long, everything else is a line."""
    return 32 + sum(1024 if schema.field(name).kind == "table" else 64 for name in wanted)


def _field_line(spec: FieldSpec) -> str:
    text = spec.description or spec.name.replace("_", " ")
    if spec.kind == "table":
        text += "; each row an object with " + ", ".join(column.name for column in spec.columns)
    if spec.values:
        text += "; one of " + ", ".join(spec.values)
    return f"{spec.name} ({spec.kind}): {text}; {_FORM[spec.kind]}"


def _json_kind(spec: FieldSpec) -> dict[str, Any]:
    if spec.kind != "table":
        return {"type": ["string", "null"]}
    names = [column.name for column in spec.columns]
    cells = {name: {"type": ["string", "null"]} for name in names}
    row = {"type": "object", "properties": cells, "required": names, "additionalProperties": False}
    return {"type": ["array", "null"], "items": row}
