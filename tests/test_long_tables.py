"""Long tables come out whole, page by page and answer by answer; what does not is said."""

import json
from pathlib import Path

import pytest
from key_reader import KeyReader, four_pages_of_rows, read

from backends.table_reading import new_rows
from router.documents import open_document
from router.merge import merge_extractions, status_of
from router.schema import builtin

SAMPLES = Path(__file__).parent.parent / "samples"


def keys_by_page(name, table):
    """Return a sample's keys, and the rows of its table by the page that shows them."""
    keys = json.loads((SAMPLES / "keys" / f"{name}.json").read_text())
    with open_document((SAMPLES / f"{name}.pdf").read_bytes(), f"{name}.pdf") as opened:
        texts = [" ".join(word.text for word in page.words) for page in opened.document.pages]
    rows, page = {number: [] for number in range(1, len(texts) + 1)}, 1
    for row in keys[table]:
        while page < len(texts) and row["description"] not in texts[page - 1]:
            page += 1
        rows[page].append({column: "" if cell is None else str(cell) for column, cell in row.items()})
    return keys, rows


def read_rows(rows):
    return [{name: cell.raw for name, cell in row.items()} for row in rows]


def wanted_rows(rows):
    return [{name: cell for name, cell in row.items() if cell} for page in rows.values() for row in page]


@pytest.mark.parametrize("lane", ["internvl3", "llama-vision"])
@pytest.mark.parametrize("form", ["pipes", "objects"])
@pytest.mark.parametrize(
    ("name", "schema", "table"),
    [("statement-digital", "bank_statement", "transactions"), ("invoice-three-pages", "invoice", "line_items")],
)
def test_the_long_tables_of_the_samples_come_out_whole(lane, form, name, schema, table):
    keys, rows = keys_by_page(name, table)
    columns = tuple(column.name for column in builtin(schema).field(table).columns)
    at_once = 1 if lane == "llama-vision" else 100
    model = KeyReader(lane, schema.replace("_", " "), keys, rows, columns, form, at_once)
    extraction, document = read(model, (SAMPLES / f"{name}.pdf").read_bytes(), f"{name}.pdf", "auto")
    assert extraction.schema_name == schema
    assert len(document.pages) > 1
    assert read_rows(extraction.fields[table].rows) == wanted_rows(rows)
    assert extraction.fields[table].checks == ()
    assert {cell.page for row in extraction.fields[table].rows for cell in row.values()} == set(rows)


@pytest.mark.parametrize("lane", ["internvl3", "llama-vision"])
def test_an_invoice_of_150_rows_over_four_pages_comes_out_whole(lane):
    data, rows = four_pages_of_rows()
    columns = tuple(column.name for column in builtin("invoice").field("line_items").columns)
    model = KeyReader(lane, "tax invoice", {}, rows, columns, at_once=2, slot_room=500)
    extraction, _ = read(model, data, "long.pdf", "invoice")
    assert read_rows(extraction.fields["line_items"].rows) == wanted_rows(rows)
    assert extraction.fields["line_items"].checks == ()
    assert max(request.max_tokens for request in model.asked) > 500  # so answers broke off and were gone on with


def test_rows_that_no_answer_gives_make_the_document_one_for_a_person_and_are_named():
    data, rows = four_pages_of_rows(40, 1)
    columns = tuple(column.name for column in builtin("invoice").field("line_items").columns)
    values = {"supplier_name": "Box Shop", "invoice_number": "A-1001", "invoice_date": "01/02/2024"}
    model = KeyReader(
        "internvl3", "invoice", values | {"total_amount": "2,000.00"}, rows, columns, slot_room=900, stops_after=7
    )
    extraction, document = read(model, data, "long.pdf", "invoice")
    table = extraction.fields["line_items"]
    assert len(table.rows) == 7
    [check] = table.checks
    assert (check.name, check.outcome) == ("rows_complete", "fail")
    assert "row 7 (Item 006 blue box" in check.detail
    merged = merge_extractions(extraction, None, builtin("invoice"), pages=document.pages)
    status, unresolved = status_of(merged, builtin("invoice"))
    assert status == "needs_review"
    assert "line_items" in unresolved
    assert check in merged["line_items"].chosen.checks


ROWS = [{"description": name} for name in "abcdefg"]


@pytest.mark.parametrize(
    ("known", "rows", "kept"),
    [
        ([], ROWS[:3], range(3)),
        (ROWS[:3], ROWS[3:5], range(2)),
        (ROWS[:3], ROWS[2:5], range(1, 3)),  # the last row again, then new ones
        (ROWS[:3], ROWS[:5], range(3, 5)),  # from the beginning
        (ROWS[:3], ROWS[:3], range(3, 3)),
        (ROWS[:3], [], range(0)),
    ],
)
def test_only_rows_that_go_on_are_taken_from_a_later_answer(known, rows, kept):
    assert list(new_rows(known, rows)) == list(kept)


def test_rows_of_an_answer_that_ran_in_a_circle_count_once():
    assert list(new_rows([], [*ROWS[:2], *[ROWS[2]] * 9], circling=True)) == [0, 1, 2]
    assert list(new_rows([], [ROWS[0], ROWS[0], ROWS[1]], circling=True)) == [0, 1, 2]
