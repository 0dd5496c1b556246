"""A model's answer -> raw values. Knows the answer's form and the usual names of fields: no confidence and no page.

Every form writes down what it finds at a key; which of it counts is decided once, at the end. Nothing is filled in:
what cannot be read is unknown and has no answer. Only the first `MAX_CHARS` characters are read, in bounded time.
"""

from __future__ import annotations

from dataclasses import replace

from backends.answers.absence import says_absent
from backends.answers.answer import Answer, ParsedAnswer
from backends.answers.candidates import Found, resolve
from backends.answers.chatter import answer_span, is_refusal
from backends.answers.lines import LineReader
from backends.answers.names import OTHER, Meaning, Names
from backends.answers.pipes import PipeReader
from backends.answers.rows import Rows, delimited_rows
from backends.answers.tags import html_cells, read_tags
from backends.answers.walk import Walker
from router.schema import Schema

MAX_CHARS = 200_000
_EMPTY = ("[]", "json[]")


def parse_answer(
    text: str, wanted: tuple[str, ...], truncated: bool = False, *, schema: Schema | None = None
) -> ParsedAnswer:
    """Return the finished wanted fields of an answer; `truncated` says that generation stopped before its end.

    `schema` tells kinds, enumerated values and columns; without it the built-in schemas do. Positions of answers are
    those in `text`, of which only the answer itself is read: no greeting, no further turn.
    """
    read = text[:MAX_CHARS]
    cut_short = truncated or len(text) > MAX_CHARS
    start, end = answer_span(read)
    names, found = Names(wanted, schema), Found()
    _read_tags(read, start, end, names, found)
    lines = LineReader(read, (start, end), names, found, cut_short and end == len(read))
    lines.read()
    specs = {name: spec for name in wanted if (spec := names.spec(name))}
    answered = resolve(found.candidates, specs)
    keyless = not found.candidates
    if len(names.tables) == 1 and keyless:
        lines.read_as_body(names.tables[0])
        answered = resolve(found.candidates, specs)
    if len(wanted) == 1 and keyless and not answered and not (truncated and end == len(read)):
        answered = _nothing_at_all(read, start, end, wanted[0])
    if cut_short and end == len(read):
        answered = {name: _as_cut(answer, found) for name, answer in answered.items()}
    return ParsedAnswer(answered, found.dropped, not answered and is_refusal(text))


def _as_cut(answer: Answer, found: Found) -> Answer:
    """A table is whole in an answer that was cut off only where something else was said behind it."""
    last = answer.last_row_end
    if last is None or any(candidate.at > last for candidate in found.candidates):
        return answer
    return replace(answer, whole=False)


def _nothing_at_all(text: str, start: int, end: int, name: str) -> dict[str, Answer]:
    """The answer to a question for one field may be the claim of absence alone, without the field's name."""
    shown = text[start:end].strip(" \n`*")
    start += text[start:end].find(shown)
    absent = bool(shown) and (says_absent(shown) or "".join(shown.split()) in _EMPTY)
    return {name: Answer(None, start, start + len(shown))} if absent else {}


def _read_tags(text: str, start: int, end: int, names: Names, found: Found) -> None:
    piece = read_tags(text, start, end)
    if piece is not None:
        Walker(text, names, found).walk(piece)
    cells = html_cells(text, start, end)
    table = names.best_table([text[s:e] for s, e in cells[0]]) if cells else None
    if table:
        rows = Rows(text, table, names)
        delimited_rows(rows, cells, positional=False)
        found.add(Meaning(table, OTHER), start, rows.answer(cells[0][0][0], cells[-1][-1][1]))
    elif cells:
        PipeReader(text, names, found, False, end).names_beside_values(cells)
