"""Tables read from words with places: built by hand where one behaviour is meant, drawn where a whole document is."""

from __future__ import annotations

import pytest
from table_pages import HEAD, ITEMS, LETTER, TRANSACTIONS, Cells, item, page, values

from backends.ocr.tables import read_table
from benchmarks import synth, tables
from router.schema import builtin


def test_rows_under_a_heading_end_at_the_totals() -> None:
    reading = read_table(
        [
            page(
                [
                    HEAD,
                    {0.05: "Office chair", -0.5: "2", -0.7: "10.00", -0.9: "20.00"},
                    {0.05: "Lamp", -0.5: "10", -0.7: "4.50", -0.9: "45.00"},
                    {0.5: "Subtotal", -0.9: "65.00"},
                    {0.5: "GST 10%", -0.9: "6.50"},
                    {0.5: "Total", -0.9: "71.50"},
                ]
            )
        ],
        ITEMS,
    )
    assert values(reading) == [item("Office chair", "2.00", "10.00", "20.00"), item("Lamp", "10.00", "4.50", "45.00")]
    assert reading is not None
    assert (reading.headed, reading.checked, reading.summed) == (True, 1.0, True)


def test_a_cell_carries_raw_text_confidence_page_and_place() -> None:
    reading = read_table([page([HEAD, {0.05: "Chair", -0.5: "2", -0.7: "€ 10.00", -0.9: "€ 20.00"}])], ITEMS)
    assert reading is not None
    cell = reading.rows[0]["total_price"]
    assert (cell.raw, cell.value, cell.confidence, cell.page) == ("€ 20.00", "20.00", 0.9, 1)
    assert cell.polygon is not None
    assert cell.polygon[0] == pytest.approx(0.9 - 7 * LETTER, abs=0.01)
    assert reading.polygon[0] == pytest.approx(0.05, abs=0.01)
    assert reading.polygon[2] == pytest.approx(0.9, abs=0.01)


def test_a_description_on_two_lines_belongs_to_its_row() -> None:
    reading = read_table(
        [
            page(
                [
                    HEAD,
                    {0.05: "Architect, senior", -0.5: "2", -0.7: "10.00", -0.9: "20.00"},
                    {0.05: "(billed by hours)"},
                    None,
                    {0.05: "Lamp", -0.5: "1", -0.7: "4.50", -0.9: "4.50"},
                ],
                pitch=0.024,
            )
        ],
        ITEMS,
    )
    assert [r["description"] for r in values(reading)] == ["Architect, senior (billed by hours)", "Lamp"]


def test_a_quantity_the_page_reader_missed_is_derived_from_the_prices() -> None:
    rows: list[Cells] = [
        {0.05: "Chair", -0.5: "2", -0.7: "10.00", -0.9: "20.00"},
        {0.05: "Desk", -0.7: "80.00", -0.9: "80.00"},
        {0.05: "Paint, with discount", -0.7: "7.00", -0.9: "6.30"},
    ]
    reading = read_table([page([HEAD, *rows])], ITEMS)
    assert [r.get("quantity") for r in values(reading)] == ["2.00", "1.00", None]
    assert reading is not None
    derived = reading.rows[1]["quantity"]
    assert (derived.raw, derived.polygon) == ("", None)
    assert derived.confidence is not None
    assert derived.confidence < 0.9


def test_text_beside_the_table_is_not_part_of_it() -> None:
    head: Cells = {0.3: "Description", -0.6: "Qty", -0.75: "Unit Price", -0.9: "Amount"}
    rows: list[Cells] = [
        {0.3: "Chair", -0.6: "2", -0.75: "10.00", -0.9: "20.00"},
        {0.02: "12 High Street", 0.3: "Lamp", -0.6: "1", -0.75: "4.50", -0.9: "4.50"},
        {0.02: "Sydney 2000", 0.3: "Desk", -0.6: "1", -0.75: "80.00", -0.9: "80.00"},
        {0.3: "Shelf", -0.6: "3", -0.75: "5.00", -0.9: "15.00"},
    ]
    assert [r["description"] for r in values(read_table([page([head, *rows])], ITEMS))] == [
        "Chair",
        "Lamp",
        "Desk",
        "Shelf",
    ]


def test_a_table_goes_on_over_pages_without_its_carried_sums() -> None:
    first = page(
        [
            HEAD,
            {0.05: "Chair", -0.5: "2", -0.7: "10.00", -0.9: "20.00"},
            {0.05: "Desk", -0.5: "1", -0.7: "80.00", -0.9: "80.00"},
            {0.05: "Carried forward", -0.9: "100.00"},
        ]
    )
    second = page(
        [
            HEAD,
            {0.05: "Brought forward", -0.9: "100.00"},
            {0.05: "Lamp", -0.5: "1", -0.7: "4.50", -0.9: "4.50"},
            {0.5: "Total", -0.9: "104.50"},
        ],
        number=2,
    )
    reading = read_table([first, second], ITEMS)
    assert [r["description"] for r in values(reading)] == ["Chair", "Desk", "Lamp"]
    assert reading is not None
    assert [row["total_price"].page for row in reading.rows] == [1, 1, 2]
    assert (reading.page, reading.summed) == (1, True)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [{0.05: "9556939040116 KF CLAY"}, {0.08: "1 PC * 9.000", -0.7: "0.00", -0.9: "9.00"}],
            ("KF CLAY", "1.00", "9.00"),
        ),
        ([{0.05: "MUSHROOM SOUP"}, {0.08: "2 X 4.50", -0.9: "9.00"}], ("MUSHROOM SOUP", "2.00", "4.50")),
        (
            [{0.05: "TOILET ROLL"}, {0.05: "9555227800168", 0.5: "4.50*2", -0.9: "9.00"}],
            ("TOILET ROLL", "2.00", "4.50"),
        ),
        ([{0.05: "TEA", -0.9: "9.00"}, {0.08: "2 @ 4.50"}], ("TEA", "2.00", "4.50")),
    ],
)
def test_quantity_and_price_are_read_from_a_line_of_their_own(
    lines: list[Cells], expected: tuple[str, str, str]
) -> None:
    reading = read_table([page([*lines, {0.05: "TOTAL", -0.9: "9.00"}], pitch=0.024)], ITEMS)
    assert values(reading) == [item(*expected, "9.00")]


STATEMENT: Cells = {0.05: "Date", 0.2: "Details", -0.6: "Debit", -0.75: "Credit", -0.92: "Balance"}


def test_transactions_keep_debit_and_credit_apart() -> None:
    reading = read_table(
        [
            page(
                [
                    STATEMENT,
                    {0.2: "Opening balance", -0.92: "100.00"},
                    {0.05: "03/02/2020", 0.2: "Card payment 71552033", -0.6: "25.00", -0.92: "75.00"},
                    {0.05: "04/02/2020", 0.2: "Salary", -0.75: "1,000.00", -0.92: "1,075.00"},
                    {0.2: "Closing balance", -0.92: "1,075.00"},
                ]
            )
        ],
        TRANSACTIONS,
    )
    assert values(reading) == [
        {"date": "2020-02-03", "description": "Card payment 71552033", "debit": "25.00", "balance": "75.00"},
        {"date": "2020-02-04", "description": "Salary", "credit": "1000.00", "balance": "1075.00"},
    ]
    assert reading is not None
    assert reading.checked == 1.0


def test_the_running_balance_overrules_the_column() -> None:
    head: Cells = {0.05: "Date", 0.2: "Details", -0.7: "Amount", -0.92: "Balance"}
    reading = read_table(
        [
            page(
                [
                    head,
                    {0.05: "01/02/2020", 0.2: "Opening balance", -0.92: "100.00"},
                    {0.05: "03/02/2020", 0.2: "Rent", -0.7: "25.00", -0.92: "75.00"},
                    {0.05: "04/02/2020", 0.2: "Refund", -0.7: "5.00", -0.92: "80.00"},
                ]
            )
        ],
        TRANSACTIONS,
    )
    assert [(r.get("debit"), r.get("credit")) for r in values(reading)] == [("25.00", None), (None, "5.00")]


def test_dates_without_year_take_it_from_the_document_and_count_for_the_lines_below() -> None:
    reading = read_table(
        [
            page(
                [
                    {0.05: "Statement period 01/02/2021 to 28/02/2021"},
                    STATEMENT,
                    {0.05: "03 Feb", 0.2: "Rent", -0.6: "25.00", -0.92: "75.00"},
                    {0.2: "Fee", -0.6: "5.00", -0.92: "70.00"},
                ]
            )
        ],
        TRANSACTIONS,
    )
    assert [r["date"] for r in values(reading)] == ["2021-02-03", "2021-02-03"]


@pytest.mark.parametrize("kind", ["invoice", "receipt", "bank_statement"])
def test_rows_of_drawn_documents_are_read_right(kind: str) -> None:
    spec = builtin(kind).field(tables.FIELDS[kind])
    measured = tables.measure(tables.synth_cases(kind, range(900, 912)), spec, show=False)
    assert measured["f1"] >= 0.95


def test_a_drawn_invoice_of_three_pages_is_read_whole() -> None:
    document = synth.make_document("invoice", 5, pages=3)
    reading = read_table(tables.pages_of(document), ITEMS)
    assert reading is not None
    assert len(reading.rows) == len(document.key["line_items"])
