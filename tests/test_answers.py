"""What models write around and instead of an answer, and how much of a broken answer is kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.answers import parse_answer
from backends.answers.chatter import answer_span, is_refusal
from backends.prompts import fields_prompt, json_schema, prompt_version
from router.schema import builtin

WANTED = ("supplier_name", "total_amount", "invoice_date")
LINES = "supplier_name: Shop\ntotal_amount: 12.50\ninvoice_date: NOT_FOUND"


def values(text, truncated=False, wanted=WANTED):
    return {name: answer.raw for name, answer in parse_answer(text, wanted, truncated).fields.items()}


RIGHT = {"supplier_name": "Shop", "total_amount": "12.50", "invoice_date": None}


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        "assistant\n\n" + LINES,
        "<|start_header_id|>assistant<|end_header_id|>\n\n" + LINES + "<|eot_id|>",
        LINES + "<|im_end|>\n<|im_start|>user\ntotal_amount: 99",
        "I'll extract the fields from the image.\n\n" + LINES,
        "Sure! Here are the extracted fields:\n\n" + LINES + "\n\nLet me know if you need anything else.",
        "Here is the information:\n```\n" + LINES + "\n```",
        LINES + "\nI hope this helps!",
        "**Supplier Name:** Shop\n**Total Amount:** 12.50\n**Invoice Date:** NOT_FOUND\n\n**Note:** blurred.",
        "- supplier_name: Shop\n- total_amount: 12.50\n- invoice_date: N/A",
        "SUPPLIER_NAME: Shop\nTOTAL_AMOUNT: 12.50\nINVOICE_DATE: NOT_FOUND",
        LINES + "\n\nuser\n\nWhat is the total_amount: of this?",
        json.dumps(RIGHT | {"mood": "good"}),
        "Here is the JSON:\n```json\n" + json.dumps(RIGHT, indent=2) + "\n```\nLet me know if it helps.",
        str(RIGHT),
        '{"supplier_name": "Shop", "total_amount": 12.50, "invoice_date": None}',
        '{"fields": ' + json.dumps(RIGHT) + "}",
        json.dumps({name: {"value": value, "confidence": 0.9} for name, value in RIGHT.items()}),
        '{"supplier_name": "Shop", "total_amount": "12.50", "invoice_date": "NOT_FOUND",}',
    ],
)
def test_one_answer_in_many_clothes(text):
    assert values(text) == RIGHT


@pytest.mark.parametrize("text", [LINES, "Sure!\n" + LINES, "assistant\n\n" + json.dumps(RIGHT)])
def test_an_answer_s_position_is_that_in_the_whole_text(text):
    for name, answer in parse_answer(text, WANTED).fields.items():
        if answer.raw is not None:
            assert answer.raw in text[answer.start : answer.end], name


@pytest.mark.parametrize("cut", range(1, len(json.dumps(RIGHT))))
def test_a_json_answer_cut_anywhere_keeps_only_finished_fields(cut):
    assert values(json.dumps(RIGHT)[:cut], truncated=True).items() <= RIGHT.items()


@pytest.mark.parametrize("cut", range(1, len(LINES)))
def test_lines_cut_anywhere_keep_only_finished_fields(cut):
    assert values(LINES[:cut], truncated=True).items() <= RIGHT.items()


def test_a_movement_keeps_its_day_where_no_year_is_printed_beside_it():
    text = "05 Jul | Rent | 200.00 | | 1,300.00\n12/07 | Films | 16.99 | | 1,283.01\nsee | Films | 1.00 | | 1,282.01"
    rows = parse_answer(text, ("transactions",)).fields["transactions"].rows
    assert [row.get("date") for row in rows] == ["05 Jul", "12/07", None]


def test_text_between_keys_that_is_no_json_is_taken_as_it_stands():
    text = '{"supplier_name": "Joe\'s "Best" Shop", "total_amount": 12.50 AUD, "invoice_date": 03/02/2024}'
    assert values(text) == {
        "supplier_name": 'Joe\'s "Best" Shop', "total_amount": "12.50 AUD", "invoice_date": "03/02/2024",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot provide information about individuals in this image.",
        "As an AI language model, I do not read documents.",
        "I\u2019m unable to read this image.",
    ],
)
def test_a_refusal_is_told_from_an_answer(text):
    parsed = parse_answer(text, WANTED)
    assert (parsed.fields, parsed.refused) == ({}, True)


@pytest.mark.parametrize("text", ["", "\n\n", "The image shows a receipt.", "12.50"])
def test_an_answer_without_fields_need_not_be_a_refusal(text):
    parsed = parse_answer(text, WANTED)
    assert (parsed.fields, parsed.refused) == ({}, False)


def test_words_of_refusal_inside_a_value_are_no_refusal():
    parsed = parse_answer("supplier_name: Sorry I Am Late Pty Ltd\ntotal_amount: 5", WANTED)
    assert not parsed.refused
    assert not is_refusal("supplier_name: Unable Coffee")


def test_a_line_that_opens_like_a_greeting_may_be_the_answer():
    assert values("The following: x\nsupplier_name: Shop")["supplier_name"] == "Shop"
    assert values("Okay_name: x\nsupplier_name: Okay Ltd")["supplier_name"] == "Okay Ltd"


@given(text=st.text(st.sampled_from("aA:\n |<>_*`") | st.characters()))
def test_the_answer_lies_within_the_text(text):
    start, end = answer_span(text)
    assert 0 <= start <= end <= len(text)


@pytest.mark.parametrize("schema", ["receipt", "invoice", "bank_statement"])
def test_the_json_schema_names_every_wanted_field_and_lets_it_be_absent(schema):
    schema = builtin(schema)
    form = json_schema(schema, schema.names())
    assert list(form["properties"]) == form["required"] == list(schema.names())
    assert form["additionalProperties"] is False
    for name, kind in form["properties"].items():
        assert "null" in kind["type"]
        if schema.field(name).kind == "table":
            assert kind["items"]["required"] == [column.name for column in schema.field(name).columns]


def test_each_form_of_answer_has_a_prompt_and_a_version_of_its_own():
    schema = builtin("invoice")
    prompts = {fields_prompt(schema, WANTED, form) for form in ("lines", "json")}
    assert len(prompts) == len({prompt_version(form) for form in ("lines", "json")}) == 2
    assert all(f"{name} (" in prompt for name in WANTED for prompt in prompts)


STATEMENT_ROWS = (
    "01/02/2024 | Coffee | 4.50 |  | ",
    "02/02/2024 | Salary |  | 900.00 | 1,200.00",
    "03/02/2024 | Fee | | |",
)
STATEMENT_CELLS = [
    {"date": "01/02/2024", "description": "Coffee", "debit": "4.50"},
    {"date": "02/02/2024", "description": "Salary", "credit": "900.00", "balance": "1,200.00"},
    {"date": "03/02/2024", "description": "Fee"},
]


@pytest.mark.parametrize("header", ["", "date | description | debit | credit | balance\n"], ids=["rows", "header"])
@pytest.mark.parametrize("order", [(0, 1, 2), (0,), (2, 0), (1, 0)], ids=str)
def test_a_row_whose_last_cell_is_empty_is_whole(header, order):
    text = header + "\n".join(STATEMENT_ROWS[place] for place in order)
    answer = parse_answer(text, ("transactions",)).fields["transactions"]
    assert (answer.whole, list(answer.rows)) == (True, [STATEMENT_CELLS[place] for place in order])


@pytest.mark.parametrize("row", ["| 01/02/2024 | Coffee | 4.50 | 9.00 |", "01/02/2024 | Coffee | 4.50 | 9.00 |"])
def test_a_row_that_lacks_a_cell_is_not_filled_up_where_pipes_close_the_lines(row):
    whole = "02/02/2024 | Salary | 1.00 | 900.00 | 1,200.00 |"
    answer = parse_answer(f"{whole}\n{row}", ("transactions",)).fields["transactions"]
    assert (answer.whole, len(answer.rows)) == (False, 1)
