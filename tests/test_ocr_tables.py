"""Tables read from words with places: built by hand where one behaviour is meant, drawn where a whole document is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backends.ocr.layout import PageLayout, build_layout, segments_from_words
from backends.ocr.table_words import line_kind
from backends.ocr.tables import TableReading, read_table
from benchmarks import synth, tables
from router.schema import FieldSpec, builtin
from router.types import Word

ITEMS = builtin("invoice").field("line_items")
TRANSACTIONS = builtin("bank_statement").field("transactions")
HEIGHT = 1.4
LETTER = 0.011
LINE = 0.016

Cells = dict[float, str]
"""Left edge of a text -> text; a negative edge is the right edge of right-aligned text."""


def page(rows: Sequence[Cells | None], number: int = 1, pitch: float = 0.03, confidence: float = 0.9) -> PageLayout:
    """Return a layout of rows of text; None leaves a line blank."""
    words = [
        word
        for index, row in enumerate(rows)
        for x, text in (row or {}).items()
        for word in words_at(x, 0.1 + index * pitch, text, confidence)
    ]
    return build_layout(number, HEIGHT, segments_from_words(words, number, HEIGHT))


def words_at(x: float, y: float, text: str, confidence: float) -> list[Word]:
    left = x if x >= 0 else -x - len(text) * LETTER
    found = []
    for part in text.split(" "):
        x1, top, bottom = left + len(part) * LETTER, y / HEIGHT, (y + LINE) / HEIGHT
        polygon = (left, top, x1, top, x1, bottom, left, bottom)
        found.append(Word(text=part, polygon=polygon, confidence=confidence))
        left = x1 + LETTER * 0.8
    return found


def values(reading: TableReading | None) -> list[dict[str, str]]:
    return [{name: cell.value for name, cell in row.items()} for row in (reading.rows if reading else ())]


def item(description: str, quantity: str | None, unit: str | None, total: str | None) -> dict[str, str]:
    row = {"description": description, "quantity": quantity, "unit_price": unit, "total_price": total}
    return {name: value for name, value in row.items() if value is not None}


HEAD: Cells = {0.05: "Description", -0.5: "Qty", -0.7: "Unit Price", -0.9: "Amount"}


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


@pytest.mark.parametrize(
    "head",
    [
        {0.05: "Bezeichnung", -0.5: "Menge", -0.7: "Einzelpreis", -0.9: "Gesamt"},
        {0.05: "Désignation", -0.5: "Qté", -0.7: "Prix unitaire", -0.9: "Montant HT"},
        {0.05: "Omschrijving", -0.5: "Aantal", -0.7: "Prijs", -0.9: "Bedrag"},
        {0.05: "Descripción", -0.5: "Cantidad", -0.7: "Precio", -0.9: "Importe"},
        {0.05: "Descrizione", -0.5: "Quantità", -0.7: "Prezzo", -0.9: "Importo"},
        {0.05: "Keterangan", -0.5: "Kuantiti", -0.7: "Harga", -0.9: "Jumlah"},
        {0.05: "Descriptlon", -0.5: "Quantlty", -0.7: "Unit Prlce", -0.9: "Arnount"},
    ],
)
def test_headings_are_known_in_seven_languages_and_with_reading_errors(head: Cells) -> None:
    reading = read_table([page([head, {0.05: "Tisch", -0.5: "3", -0.7: "7,50", -0.9: "22,50"}])], ITEMS)
    assert values(reading) == [item("Tisch", "3.00", "7.50", "22.50")]


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


def test_arithmetic_finds_the_columns_that_the_heading_misnames() -> None:
    head: Cells = {0.05: "Description", -0.4: "Out", -0.5: "Back", -0.6: "Sold", -0.75: "U.P", -0.9: "Price"}
    rows: list[Cells] = [
        {0.05: "White bread", -0.4: "5", -0.5: "1", -0.6: "4", -0.75: "2.13", -0.9: "8.52"},
        {0.05: "Rolls", -0.4: "9", -0.5: "2", -0.6: "7", -0.75: "0.50", -0.9: "3.50"},
    ]
    assert values(read_table([page([head, *rows])], ITEMS)) == [
        item("White bread", "4.00", "2.13", "8.52"),
        item("Rolls", "7.00", "0.50", "3.50"),
    ]


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


def test_a_receipt_without_heading_is_read_by_its_line_ends() -> None:
    reading = read_table(
        [
            page(
                [
                    {0.2: "BAKERY SDN BHD"},
                    {0.05: "12/03/2018", 0.5: "18:20"},
                    {0.05: "EGG TART", -0.9: "5.10 S"},
                    {0.05: "WHITE BREAD", -0.9: "3.30 S"},
                    {0.05: "TOTAL", -0.9: "8.40"},
                    {0.05: "CASH", -0.9: "10.00"},
                    {0.05: "CHANGE", -0.9: "1.60"},
                ]
            )
        ],
        ITEMS,
    )
    assert values(reading) == [item("EGG TART", None, None, "5.10"), item("WHITE BREAD", None, None, "3.30")]


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


def test_a_table_of_a_users_own_schema_is_found_by_its_labels() -> None:
    spec = FieldSpec(
        name="parcels",
        kind="table",
        columns=(
            FieldSpec(name="tracking", kind="identifier", labels=("consignment",)),
            FieldSpec(name="contents", kind="text"),
            FieldSpec(name="weight", kind="amount", labels=("mass kg",)),
        ),
    )
    reading = read_table(
        [
            page(
                [
                    {0.05: "Consignment", 0.35: "Contents", -0.8: "Mass kg"},
                    {0.05: "AB12345", 0.35: "Books", -0.8: "2.5"},
                    {0.05: "AB12346", 0.35: "Garden tools", -0.8: "11.25"},
                ]
            )
        ],
        spec,
    )
    assert values(reading) == [
        {"tracking": "AB12345", "contents": "Books", "weight": "2.50"},
        {"tracking": "AB12346", "contents": "Garden tools", "weight": "11.25"},
    ]


@pytest.mark.parametrize("rows", [[], [None], [{0.1: "Dear Sir or Madam,"}, {0.1: "thank you for your letter."}]])
def test_a_page_without_a_table_gives_none(rows: list[Cells | None]) -> None:
    assert read_table([page(rows)], ITEMS) is None
    assert read_table([page(rows)], TRANSACTIONS) is None
    assert read_table([], ITEMS) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Sub Total (RM) 12.00", "sum"),
        ("Tolal Amount", "sum"),
        ("Montant TTC", "sum"),
        ("Zwischensumme netto", "sum"),
        ("Übertrag", "carry"),
        ("CASH 50.00", "payment"),
        ("Less discount", "discount"),
        ("Cash register, steel", "item"),
        ("Service contract", "item"),
        ("2 x 4.50", "item"),
    ],
)
def test_lines_that_are_no_rows_are_told_by_their_words(text: str, kind: str) -> None:
    assert line_kind(text) == kind


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
