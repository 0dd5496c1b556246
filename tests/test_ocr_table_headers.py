"""How a table is found: by headings in several languages, by arithmetic, by line ends, by a user's own labels."""

from __future__ import annotations

import pytest
from table_pages import ITEMS, TRANSACTIONS, Cells, item, page, values

from backends.ocr.table_words import line_kind
from backends.ocr.tables import read_table
from router.schema import FieldSpec


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
