"""Answers that are no answers: endless, nested, broken, cut off. The parser stays bounded, and places stay true."""

import json

import pytest
from answer_styles import DEVELOPED, HELD_OUT
from hypothesis import given, settings
from hypothesis import strategies as st
from test_answer_corpus import rendered, written

from backends.answers import parse_answer, read_kind
from backends.answers import parsing as parsing_module
from backends.answers.rows import MAX_ROWS
from router.normalise import fold
from router.schema import builtin

AUTO = builtin("auto")
PIECES = [
    "total_amount", "supplier_name", "line_items", "transactions", "due_date", "Total", "Supplier", "Description",
    "Date", ":", ": ", "=", " - ", "|", " | ", "\n", "\n\n", "  ", "{", "}", "[", "]", "(", ")", '"', "'", ",", ";",
    "\\", "`",
    "```", "**", "#", "//", "/*", "<", ">", "</", "<item>", "</item>", "1. ", "- ", "12.50", "1,204.00", "03/04/2024",
    "NOT_FOUND", "Not shown", "null", "...", "is", "The", "\ufffd", "\ud83d", "\x00", "，", "：", "é", "%", "or", "n/a",
]  # fmt: skip


def check(text, truncated=False):
    """Parse, and hold every place to the text."""
    parsed = parse_answer(text, AUTO.names(), truncated)
    for answer in parsed.fields.values():
        assert 0 <= answer.start <= answer.end <= len(text)
        assert answer.raw is None or answer.raw.strip()
        assert len(answer.cells) == len(answer.rows or ())
        for row, spans in zip(answer.rows or (), answer.cells, strict=True):
            assert row
            assert row.keys() == spans.keys()
            for column, (start, end) in spans.items():
                assert answer.start <= start < end <= answer.end or "\n" in (answer.raw or "")
                assert fold(row[column]) in fold(text[start:end]) or "\\" in text[start:end] or "&" in text[start:end]
    return parsed


@given(text=st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=60).map("".join), truncated=st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_parser_and_places_lie_within_it(text, truncated):
    check(text, truncated)


@given(piece=st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join))
@settings(max_examples=25, deadline=None)
def test_any_piece_may_repeat_for_ever(piece):
    check(piece * (20_000 // len(piece)))


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000_000,
        "total_amount: " * 800_000,
        "```\n" * 2_000_000,
        "[" * 1_000_000,
        '{"a":' * 1_000_000,
        "<a>" * 1_000_000,
        'line_items: [ "a\n' * 100_000,
        "| " * 1_000_000,
        "supplier_name: x\n" * 500_000,
    ],
    ids=lambda text: f"{text[:12]!r}",
)
def test_of_an_endless_answer_only_the_beginning_is_read(text):
    parsed = check("supplier_name: Shop\n" + text)
    assert all(answer.end <= parsing_module.MAX_CHARS for answer in parsed.fields.values())


def test_what_stands_behind_the_beginning_is_not_read_and_what_was_cut_there_is_dropped():
    text = "supplier_name: Shop\npayer_name: " + "x" * parsing_module.MAX_CHARS + "\ntotal_amount: 5.00"
    assert set(parse_answer(text, AUTO.names()).fields) == {"supplier_name"}


def test_rows_are_bounded_and_a_table_that_goes_on_is_not_whole():
    row = {"description": "A", "total_price": "1.00"}
    few = json.dumps({"line_items": [row] * 1_000})
    many = json.dumps({"line_items": [{"item": "A"}] * (MAX_ROWS + 1)})
    assert len(parse_answer(few, ("line_items",)).fields["line_items"].rows) == 1_000
    assert parse_answer(few, ("line_items",)).fields["line_items"].whole
    answer = parse_answer(many, ("line_items",)).fields.get("line_items")
    assert answer is None or (len(answer.rows) <= MAX_ROWS and not answer.whole)


@pytest.mark.parametrize("depth", [5, 50, 5_000])
def test_deep_nesting_neither_fails_nor_answers(depth):
    text = '{"fields":' * depth + '{"total_amount": "5.00"}' + "}" * depth
    fields = parse_answer(text, ("total_amount",)).fields
    assert {name: answer.raw for name, answer in fields.items()} == ({"total_amount": "5.00"} if depth == 5 else {})


def everything():
    yield from ((text, wanted, schema) for _, schema, wanted, text, *_ in rendered((*DEVELOPED, *HELD_OUT)))
    for name in ("handwritten.toml", "held_out.toml"):
        yield from ((text, wanted, schema) for _, schema, wanted, text, *_ in written(name))


def test_a_value_is_what_stands_at_its_place():
    for text, wanted, schema in everything():
        for name, answer in parse_answer(text, wanted, schema=schema).fields.items():
            if answer.raw is not None and answer.rows is None:
                shown = text[answer.start : answer.end]
                assert shown.strip() == shown, (name, shown)
                assert fold(answer.raw) == fold(shown) or "&" in shown, (name, answer.raw, shown)
                assert not shown.startswith(('"', "'", "*", "`")), shown


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_an_answer_cut_anywhere_keeps_only_what_the_whole_one_says(data):
    text, wanted, schema = data.draw(st.sampled_from(list(everything())))
    cut = data.draw(st.integers(0, len(text)))
    whole = parse_answer(text, wanted, schema=schema).fields
    for name, answer in parse_answer(text[:cut], wanted, truncated=True, schema=schema).fields.items():
        if name not in whole or answer.raw is None:
            continue  # a template at the beginning claims absence, and may be all there is
        if answer.rows is None:
            corrected = text.count(name) > text[:cut].count(name)  # behind the cut
            assert answer.raw == whole[name].raw or corrected
        else:
            told = whole[name].rows
            assert answer.rows[:-1] == told[: len(answer.rows) - 1]
            last, all_of_it = answer.rows[-1], told[len(answer.rows) - 1]
            assert last.keys() == all_of_it.keys()
            # the text of a row may go on in the line behind the cut
            assert all(f"{all_of_it[cell]} ".startswith(f"{last[cell]} ") for cell in last)
            assert len(answer.rows) == len(told) or not answer.whole


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("receipt", "receipt"),
        ("This is a tax invoice.", "invoice"),
        ("Document type: RECEIPT", "receipt"),
        ("**bank_statement**", "bank_statement"),
        ("The document is a bank\nstatement.", "bank_statement"),
        ("It is not a receipt but an invoice.", "invoice"),
        ("It may be an invoice or a receipt.", None),
        ("I cannot tell.", None),
        ("", None),
    ],
)
def test_the_kind_that_an_answer_names(text, kind):
    words = {"receipt": ["till receipt"], "invoice": ["tax invoice", "bill"], "bank_statement": ["account statement"]}
    found = read_kind(text, words)
    assert (found and found[0]) == kind
    if found:
        assert found[0].split("_")[-1] in text[found[1] : found[2]].lower()
