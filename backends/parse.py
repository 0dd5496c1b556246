"""A model's answer -> raw values. Knows the answer's form only: no schema kinds, no normalisation, no confidence.

Two forms are read: `FIELD: value` lines (the prompt asks for them) and a JSON object (many models insist on it). An
answer cut off at the token limit keeps every finished field and drops the one it broke in.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from backends.prompts import NOT_FOUND

_ABSENT = {NOT_FOUND.lower(), "not found", "n/a", "none", "null", "not_present", ""}
_LINE_KEY = re.compile(r"^[ \t>*\-•]*[\"'`*]*([A-Za-z][A-Za-z0-9_ ]{0,63}?)[\"'`*]*[ \t]*:[ \t]*", re.MULTILINE)
_JSON_KEY = re.compile(r'"([A-Za-z][A-Za-z0-9_ ]{0,63})"\s*:\s*')
_CONTINUED = re.compile(r"\n(?=\S)")


@dataclass(frozen=True)
class Answer:
    """One field as the model wrote it, from `start` to `end` of the text. `raw` None is the claim of absence."""

    raw: str | None
    start: int
    end: int
    rows: tuple[dict[str, str], ...] | None = None


@dataclass(frozen=True)
class ParsedAnswer:
    """The wanted fields that were answered, and how many other keys were dropped."""

    fields: dict[str, Answer]
    dropped: int


def parse_answer(text: str, wanted: tuple[str, ...], truncated: bool = False) -> ParsedAnswer:
    """Return the finished wanted fields of an answer; `truncated` says that generation stopped at its token limit."""
    brace = text.find("{")
    first_line_key = _LINE_KEY.search(text)
    if brace >= 0 and (first_line_key is None or brace < first_line_key.start()):
        return _parse_json(text, wanted)
    return _parse_lines(text, wanted, truncated)


def _parse_lines(text: str, wanted: tuple[str, ...], truncated: bool) -> ParsedAnswer:
    keys = [(m, _name(m[1])) for m in _LINE_KEY.finditer(text)]
    fields: dict[str, Answer] = {}
    dropped = 0
    # A colon inside a continued value ("Tel: 12") looks like a key; only names in snake case end a value.
    keys = [(m, name) for m, name in keys if name in wanted or _looks_like_a_field(m[1])]
    ends = [match.start() for match, _ in keys[1:]] + [len(text)]
    for (match, name), end in zip(keys, ends, strict=False):
        cut = truncated and end == len(text) and not text.endswith("\n")
        if name not in wanted:
            dropped += 1
        elif name not in fields and not cut:
            fields[name] = _answer(text[match.end() : end], match.end())
    return ParsedAnswer(fields, dropped)


def _parse_json(text: str, wanted: tuple[str, ...]) -> ParsedAnswer:
    fields: dict[str, Answer] = {}
    dropped, position = 0, text.find("{") + 1
    decoder = json.JSONDecoder()
    while match := _JSON_KEY.search(text, position):
        try:
            value, position = decoder.raw_decode(text, match.end())
        except (json.JSONDecodeError, RecursionError):
            break  # the answer was cut off inside this value
        name = _name(match[1])
        number_may_go_on = position == len(text) and isinstance(value, int | float)
        if name not in wanted:
            dropped += 1
        elif name not in fields and not number_may_go_on:
            fields[name] = _from_json(value, text[match.end() : position], match.end(), position)
    return ParsedAnswer(fields, dropped)


def _answer(text: str, offset: int) -> Answer:
    start = offset + len(text) - len(text.lstrip())
    raw = text.strip().strip("*`").strip()
    end = start + len(text.strip())
    if raw.startswith("["):
        try:
            return _from_json(json.loads(raw), raw, start, end)
        except (json.JSONDecodeError, RecursionError):
            return Answer(None, start, end)
    raw = _CONTINUED.sub(" ", raw.split("\n\n")[0]).strip().strip("\"'")
    return Answer(None if raw.lower() in _ABSENT else raw, start, end)


def _from_json(value: object, source: str, start: int, end: int) -> Answer:
    if isinstance(value, list):
        rows = tuple({_name(str(k)): _text(v) for k, v in row.items()} for row in value if isinstance(row, dict))
        return Answer(source.strip() if rows else None, start, end, rows or None)
    raw = _text(value)
    return Answer(None if raw.lower() in _ABSENT else raw, start, end)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value.split()) if isinstance(value, str) else str(value)


def _name(key: str) -> str:
    return key.strip().lower().replace(" ", "_")


def _looks_like_a_field(key: str) -> bool:
    return "_" in key or key.isupper()
