"""Receipt layouts: ten named sets of traits and one drawn wholly at random."""

from __future__ import annotations

from benchmarks.synth_receipt import ReceiptLayout

_MONO, _PRINT = ("mono",), ("sans", "wide")
_ALL_ROWS, _ALL_ITEMS = ("pairs", "edges", "two", "bare"), ("one_line", "two_lines", "table", "priced")
_ALL_SUMS = ("edges", "big", "colon", "near", "symbol")

LAYOUTS: dict[str, ReceiptLayout] = {
    "till": ReceiptLayout(_MONO, ("center",), ("bare", "two"), ("two_lines",), ("edges",), rows_last=0.5),
    "supermarket": ReceiptLayout(_MONO, ("center",), ("two",), ("one_line",), ("edges", "big")),
    "pharmacy": ReceiptLayout(_MONO, ("center", "left"), ("two", "pairs"), ("two_lines", "table"), ("edges",)),
    "bookshop": ReceiptLayout(_MONO, ("center",), ("pairs",), ("table",), ("near", "symbol"), rows_last=0.6),
    "restaurant": ReceiptLayout(("mono", "sans"), ("center",), ("pairs", "edges"), ("one_line",), ("big",)),
    "cafe": ReceiptLayout(_PRINT, ("center",), ("edges", "bare"), ("priced",), ("big", "edges")),
    "trading": ReceiptLayout(_PRINT, ("center",), ("pairs", "two"), ("table",), ("colon",), wide=True),
    "stationer": ReceiptLayout(
        _PRINT, ("center", "left"), ("two", "edges"), ("two_lines", "table"), ("colon", "near"), wide=True
    ),
    "workshop": ReceiptLayout(
        ("serif", "sans"), ("left", "center"), ("pairs",), ("table",), ("edges", "colon"), wide=True
    ),
    "kiosk": ReceiptLayout(
        ("mono", "wide"), ("left",), ("bare", "pairs"), ("one_line", "priced"), ("near", "edges"), 0.3
    ),
    "free": ReceiptLayout(
        ("mono", "mono", "sans", "wide", "serif"), ("center", "center", "left"), _ALL_ROWS, _ALL_ITEMS, _ALL_SUMS, 0.25
    ),
    "free_wide": ReceiptLayout(
        ("mono", "sans", "wide", "serif"), ("center", "center", "left"), _ALL_ROWS, _ALL_ITEMS, _ALL_SUMS, 0.15, True
    ),
}
