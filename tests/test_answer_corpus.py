"""Answers in the manner of the models, written before the parser read any of them, and what each says."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest
from answer_styles import DEVELOPED, HELD_OUT, TABLES, Facts

from backends.answers import parse_answer
from router.normalise import fold, normalise
from router.schema import builtin

FOLDER = Path(__file__).parent / "answers"
LEAST_RIGHT = 0.95


def written(name):
    """Hand-written answers: (style, schema, text, truncated, what is said by field; a field that is not is unknown)."""
    for one in tomllib.loads((FOLDER / name).read_text("utf-8"))["answers"]:
        schema = builtin(one["schema"])
        wanted = tuple(one.get("wanted", schema.names()))
        said = one.get("says", {}) | dict.fromkeys(one.get("absent", ())) | one.get("rows", {})
        assert set(said) <= set(wanted), one["style"]
        yield one["style"], schema, wanted, one["text"], one.get("truncated", False), said


def rendered(styles):
    """The facts of each document in each style."""
    for document in tomllib.loads((FOLDER / "documents.toml").read_text("utf-8"))["documents"]:
        schema, table = builtin(document["schema"]), document["rows_of"]
        fields = {n: document["fields"].get(n) for n in schema.names() if n != table}
        columns = tuple(column.name for column in schema.field(table).columns)
        facts = Facts(fields, table, columns, tuple(document["rows"]))
        for style in styles:
            said = fields | ({table: document["rows"]} if style in TABLES else {})
            yield style.__name__, schema, schema.names(), style(facts), False, said


def same(spec, raw, expected):
    if spec.kind in ("text", "identifier"):
        return fold(raw) == fold(expected)
    return (
        normalise(spec.kind, raw, values=spec.values).value
        == normalise(spec.kind, expected, values=spec.values).value
        not in (None,)
    )


def same_rows(spec, rows, expected):
    columns = {column.name: column for column in spec.columns}
    return len(rows) == len(expected) and all(
        row.keys() == told.keys() and all(same(columns[c], row[c], told[c]) for c in row)
        for row, told in zip(rows, expected, strict=True)
    )


def judge(schema, wanted, text, truncated, said):
    """Return (field, verdict, what was read) for each wanted field: right, missing or wrong."""
    fields = parse_answer(text, wanted, truncated, schema=schema).fields
    for name in wanted:
        spec, answer = schema.field(name), fields.get(name)
        if name not in said:
            yield name, "right" if answer is None else "wrong", answer
        elif answer is None:
            yield name, "missing", None
        elif said[name] is None or answer.raw is None:
            yield name, "right" if answer.raw is said[name] else "wrong", answer
        elif spec.kind == "table":
            yield name, "right" if same_rows(spec, answer.rows or (), said[name]) else "wrong", answer
        else:
            yield name, "right" if same(spec, answer.raw, said[name]) else "wrong", answer


def told(answer):
    return answer and (answer.rows or answer.raw)


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(lambda: rendered(DEVELOPED), id="styles"),
        pytest.param(lambda: written("handwritten.toml"), id="handwritten"),
        pytest.param(lambda: rendered(HELD_OUT), id="styles held out"),
        pytest.param(lambda: written("held_out.toml"), id="handwritten held out"),
    ],
)
def test_what_an_answer_says_is_read_and_nothing_is_made_up(answers):
    counts, bad = Counter(), []
    for style, schema, wanted, text, truncated, said in answers():
        for name, verdict, answer in judge(schema, wanted, text, truncated, said):
            if name in said or verdict == "wrong":
                counts[verdict] += 1
            if verdict != "right":
                bad.append(
                    f"{style} / {schema.name} / {name}: {verdict}, {told(answer)!r} for {said.get(name, '(unknown)')!r}"
                )
    share = counts["right"] / counts.total()
    report = "\n".join([f"{share:.1%} {dict(counts)}", *bad])
    assert not counts["wrong"], report
    assert share >= LEAST_RIGHT, report
