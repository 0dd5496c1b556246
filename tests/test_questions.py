"""What a model is asked, in which order and how often."""

import re

import pytest
from bad_inputs import encode, picture
from key_reader import FIELDS, KIND, TABLE, KeyReader, columns_of, four_pages_of_rows, read, which

from backends.kinds import KINDS, schema_of
from backends.prompts import fields_prompt, kind_prompt, table_prompt
from router.schema import AUTO, builtin, builtin_names

SCAN = encode(picture(), "PNG")


def receipt_reader(kind="receipt", **values):
    rows = {1: [{"description": "Tea", "quantity": "1", "unit_price": "4.50", "total_price": "4.50"}]}
    return KeyReader("internvl3", kind, {"total_amount": "4.50", **values}, rows, columns_of("receipt", "line_items"))


def test_auto_asks_for_the_kind_first_and_then_for_its_fields_only():
    model = receipt_reader()
    extraction, _ = read(model, SCAN, "page.png", "auto")
    assert [which(request) for request in model.asked] == [KIND, FIELDS, TABLE]
    assert "transactions" not in model.asked[1].prompt
    assert "document_type" not in model.asked[1].prompt
    assert extraction.fields["document_type"].value == "receipt"
    assert 0.9 < extraction.fields["document_type"].confidence < 1
    assert set(extraction.fields) == set(builtin("receipt").names())


def test_a_named_schema_asks_for_no_kind():
    model = receipt_reader()
    read(model, SCAN, "page.png", "receipt")
    assert [which(request) for request in model.asked] == [FIELDS, TABLE]


def test_all_questions_of_a_dialogue_hold_the_same_pictures():
    model = receipt_reader()
    read(model, SCAN, "page.png", "auto")
    first, *others = model.asked
    assert all(request.images is first.images for request in others)


def test_only_what_is_wanted_is_asked_for():
    model = receipt_reader()
    extraction, _ = read(model, SCAN, "page.png", "receipt", fields=("total_amount",))
    assert [which(request) for request in model.asked] == [FIELDS]
    assert set(extraction.fields) == {"total_amount"}
    model = receipt_reader()
    read(model, SCAN, "page.png", "receipt", fields=("line_items",))
    assert [which(request) for request in model.asked] == [TABLE]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_offered_kind_leads_to_its_schema(kind):
    assert kind.words[0] in kind_prompt()
    extraction, _ = read(receipt_reader(kind.words[0]), SCAN, "page.png", "auto")
    assert extraction.schema_name == kind.schema


def test_kinds_are_those_of_the_schemas():
    offered = {value for name in builtin_names() if name != AUTO for value in kinds_in(builtin(name))}
    assert offered == {kind.name for kind in KINDS}
    assert {schema_of(kind.name) for kind in KINDS} == set(builtin_names()) - {AUTO}


def kinds_in(schema):
    return next((spec.values for spec in schema.fields if spec.name == "document_type"), ())


def test_a_kind_that_cannot_be_read_leaves_the_schema_to_the_fields_that_are_answered():
    model = receipt_reader("I see a page", bank_name="Kestrel", opening_balance="1.00", closing_balance="2.00")
    model.values.pop("total_amount")
    model.rows = {1: []}
    extraction, _ = read(model, SCAN, "page.png", "auto")
    assert extraction.schema_name == "bank_statement"
    assert extraction.fields["bank_name"].value == "Kestrel"
    assert not extraction.fields["transactions"].present


def test_pages_are_numbered_where_there_are_several():
    data, rows = four_pages_of_rows(8, 4)
    model = KeyReader("internvl3", "invoice", {}, rows, columns_of("invoice", "line_items"), at_once=3)
    read(model, data, "long.pdf", "invoice")
    fields_asked = [request for request in model.asked if which(request) == FIELDS]
    assert [request.captions for request in fields_asked] == [
        ("Page 1 of 4:", "Page 2 of 4:", "Page 3 of 4:"),
        (),
    ]
    assert "This is page 4 of 4 of a document." in fields_asked[1].prompt
    single = receipt_reader()
    read(single, SCAN, "page.png", "receipt")
    assert "page" not in single.asked[0].prompt


def test_a_table_that_a_page_does_not_show_is_absent_only_when_no_page_shows_it():
    data, rows = four_pages_of_rows(2, 2)
    rows[2] = []
    model = KeyReader("internvl3", "invoice", {}, rows, columns_of("invoice", "line_items"))
    extraction, _ = read(model, data, "a.pdf", "invoice", fields=("line_items",))
    assert len(extraction.fields["line_items"].rows) == 1
    model.rows = {1: [], 2: []}
    extraction, _ = read(model, data, "a.pdf", "invoice", fields=("line_items",))
    assert not extraction.fields["line_items"].present
    assert 0 < extraction.fields["line_items"].confidence < 1


def test_an_unreadable_table_is_unknown_and_not_absent():
    model = receipt_reader()
    model.table = lambda request: "The picture shows a fine receipt"
    extraction, _ = read(model, SCAN, "page.png", "receipt", fields=("line_items",))
    value = extraction.fields["line_items"]
    assert (value.present, value.confidence) == (False, None)
    assert value.provenance.signals["unanswered"] == 1.0


def test_what_an_example_shows_is_no_field_of_any_schema():
    names = {name for schema in builtin_names() for name in builtin(schema).names()}
    text = fields_prompt(builtin("receipt"), ["total_amount"])
    shown = re.findall(r"^(\w+): ", text, re.MULTILINE)
    assert len(shown) == 2
    assert not set(shown) & names


@pytest.mark.parametrize("form", ["lines", "json"])
def test_a_table_is_asked_for_in_its_columns_order(form):
    text = table_prompt(builtin("bank_statement"), "transactions", form)
    places = [text.index(name) for name in columns_of("bank_statement", "transactions")]
    assert places == sorted(places)
