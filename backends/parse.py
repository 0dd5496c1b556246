"""A model's answer -> raw values. Knows the answer's form only: no schema kinds, no normalisation, no confidence.

Two forms are read: `FIELD: value` lines (the prompt asks for them) and a JSON object (many models insist on it). An
answer cut off at the token limit keeps every finished field and drops the one it broke in. Repair is bounded: what is
not JSON between two keys is taken as text, and nothing is ever filled in.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from backends.chatter import answer_span, is_refusal
from backends.prompts import NOT_FOUND

_ABSENT = {NOT_FOUND.lower(), "not found", "n/a", "none", "null", "not_present", ""}
_LINE_KEY = re.compile(r"^[ \t>*\-•]*[\"'`*]*([A-Za-z][A-Za-z0-9_ ]{0,63}?)[\"'`*]*[ \t]*:[ \t]*", re.MULTILINE)
_JSON_KEY = re.compile(r"""["']([A-Za-z][A-Za-z0-9_ ]{0,63})["']\s*:\s*""")
_QUOTED = re.compile(
    r"""(?P<quote>["'])(?P<text>(?:[^"'\\\n]|\\.|["'](?!\s*[,}\]]))*)(?P=quote)(?=\s*[,}\]])""",
)
_BARE = re.compile(r"[^,{}\[\]\"\n]*(?=[,}\n])")
_CONTINUED = re.compile(r"\n(?=\S)")
_MAX_JSON_KEYS = 2000
_FOLLOWS = re.compile(r"\s*(?:[,}\]]|$)")
# numbers stay as they were written: 12.50 is not 12.5
_DECODER = json.JSONDecoder(strict=False, parse_float=str, parse_int=str, parse_constant=str)


@dataclass(frozen=True)
class Answer:
    """One field as the model wrote it, from `start` to `end` of the text. `raw` None is the claim of absence."""

    raw: str | None
    start: int
    end: int
    rows: tuple[dict[str, str], ...] | None = None


@dataclass(frozen=True)
class ParsedAnswer:
    """The wanted fields that were answered, how many other keys were dropped, and whether the model declined."""

    fields: dict[str, Answer]
    dropped: int
    refused: bool = False


def parse_answer(text: str, wanted: tuple[str, ...], truncated: bool = False) -> ParsedAnswer:
    """Return the finished wanted fields of an answer; `truncated` says that generation stopped before its end.

    Positions of answers are those in `text`, of which only the answer itself is read: no greeting, no further turn.
    """
    start, end = answer_span(text)
    # spaces for what is left out keep all positions
    shown = " " * start + text[start:end]
    brace = shown.find("{")
    first_line_key = _LINE_KEY.search(shown, start)
    if brace >= 0 and (first_line_key is None or brace < first_line_key.start()):
        parsed = _parse_json(shown, wanted)
    else:
        parsed = _parse_lines(shown, wanted, truncated and end == len(text))
    return parsed if parsed.fields else ParsedAnswer({}, parsed.dropped, is_refusal(text))


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
    for _ in range(_MAX_JSON_KEYS):
        match = _JSON_KEY.search(text, position)
        if match is None:
            break
        name, found = _name(match[1]), _value_at(text, match.end())
        if found is None:
            break  # the answer was cut off inside this value
        value, position = found
        may_go_on = position == len(text) and isinstance(value, str) and not text.endswith(("'", '"'))
        if name not in wanted and isinstance(value, dict):
            position = match.end() + 1  # an envelope such as {"fields": {...}}: its own keys are looked at
        elif name not in wanted:
            dropped += 1
        elif name not in fields and not may_go_on:
            fields[name] = _from_json(value, text[match.end() : position], match.end(), position)
    return ParsedAnswer(fields, dropped)


def _value_at(text: str, start: int) -> tuple[object, int] | None:
    """Return a value and its end: JSON, else a string with quotes inside, else bare text up to the next comma."""
    try:
        value, end = _DECODER.raw_decode(text, start)
        if _FOLLOWS.match(text, end):
            return value, end
    except (json.JSONDecodeError, RecursionError):
        pass
    if quoted := _QUOTED.match(text, start):
        return quoted["text"], quoted.end()
    if text[start : start + 1] not in ("{", "[", '"', "'") and (bare := _BARE.match(text, start)):
        return bare[0].strip(), bare.end()
    return None


def _answer(text: str, offset: int) -> Answer:
    start = offset + len(text) - len(text.lstrip())
    raw = text.strip().strip("*`").strip()
    end = start + len(text.strip())
    if raw.startswith("["):
        try:
            return _from_json(_DECODER.decode(raw), raw, start, end)
        except (json.JSONDecodeError, RecursionError):
            return Answer(None, start, end)
    raw = _CONTINUED.sub(" ", raw.split("\n\n")[0]).strip().strip("\"'")
    return Answer(None if raw.lower() in _ABSENT else raw, start, end)


def _from_json(value: object, source: str, start: int, end: int) -> Answer:
    if isinstance(value, dict):
        value = next((v for key, v in value.items() if _name(str(key)) in ("value", "raw", "text")), source)
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
