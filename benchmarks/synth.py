"""Synthetic receipts, invoices and bank statements with exact keys, drawn from a seed.

    python -m benchmarks.synth OUT --kind invoice --count 20 --seed 1 --degrade blur,skew --severity 0.5

writes pictures (or PDFs with --pdf) and keys/NAME.json. The same seed gives the same document on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from benchmarks.synth_bank import LAYOUTS as BANK_LAYOUTS
from benchmarks.synth_bank import make_statement
from benchmarks.synth_content import lexicon, make_locale, make_sale
from benchmarks.synth_draw import Sheet, TextItem, render_sheet, save_sheets
from benchmarks.synth_invoice_pages import InvoicePages
from benchmarks.synth_layouts_invoice import LAYOUTS as INVOICE_LAYOUTS
from benchmarks.synth_layouts_invoice import random_layout
from benchmarks.synth_layouts_receipt import LAYOUTS as RECEIPT_LAYOUTS
from benchmarks.synth_receipt import make_receipt
from benchmarks.synth_theme import Draft
from router.schema import builtin
from router.types import Word

KINDS = ("receipt", "invoice", "bank_statement")
_SALE_FIELDS = (
    "business_abn", "supplier_name", "business_address", "business_phone", "supplier_website", "payer_name",
    "payer_address", "payer_phone", "payer_email", "invoice_number", "po_number", "invoice_date", "due_date",
    "subtotal_amount", "gst_amount", "total_amount", "bank_name", "bsb_number", "account_number", "account_holder",
)  # fmt: skip
_RECEIPT_FIELDS = builtin("receipt").names()
FREE = "free"
"""The layout whose traits are all drawn at random."""


@dataclass(frozen=True)
class SynthPage:
    """One drawn page: size in pixels at 200 dpi, words as drawn, and for each word the field it prints (or empty)."""

    width_px: int
    height_px: int
    words: tuple[Word, ...]
    fields: tuple[str, ...]
    sheet: Sheet


@dataclass(frozen=True)
class SynthDocument:
    """A drawn document and its key: ISO days and periods, amounts as '123.45', text as printed (lines joined)."""

    kind: str
    layout: str
    language: str
    key: dict[str, Any]
    pages: tuple[SynthPage, ...]


def layouts(kind: str) -> tuple[str, ...]:
    """Return the layout names of a kind."""
    return {
        "invoice": (*INVOICE_LAYOUTS, FREE),
        "receipt": tuple(RECEIPT_LAYOUTS),
        "bank_statement": tuple(BANK_LAYOUTS),
    }[kind]


def make_document(kind: str, seed: int, layout: str | None = None, pages: int | None = None) -> SynthDocument:
    """Return the document of this seed; `layout` and the number of `pages` are drawn where not given."""
    rng = Random(f"{kind}/{layout}/{seed}")
    name = layout or rng.choice([*layouts(kind), *([] if kind == "bank_statement" else [FREE] * 3)])
    if kind == "receipt":
        return _receipt(rng, name)
    if kind == "bank_statement":
        return _statement(rng, name, pages)
    return _invoice(rng, name, pages)


def _invoice(rng: Random, name: str, pages: int | None) -> SynthDocument:
    countries = list(lexicon()["country"])
    locale = make_locale(rng, rng.choice([*countries, "AU", "FR", "US", "DE", "GB"]))
    rows = rng.choice([1, 1, 2, 3, 4, 5, 6, 7, 9, 12]) if pages in (None, 1) else 26 * pages - 16
    seed = rng.random()
    for _ in range(12):
        own = Random(seed)
        drawn = InvoicePages(own, locale, make_sale(own, locale, rows, small=False), _invoice_layout(own, name))
        items = drawn.draw()
        count = len(drawn.draft.sheets)
        last = any(i.field == "line_items" for i in drawn.draft.sheet.items if isinstance(i, TextItem))
        if pages is None or (count == pages and last):
            break
        rows = max(1, rows + (3 if count < pages else 4 if count == pages else -max(1, rows // 9)))
    title = "tax_invoice" if "tax" in drawn.draft.printed.get("document_type", "").lower() else "invoice"
    return _finish("invoice", name, drawn.draft, _sale_key(title, drawn.draft, drawn.draft.sale.total, items))


def _receipt(rng: Random, name: str) -> SynthDocument:
    countries = [*["MY"] * 12, *["AU"] * 3, "US", "GB", "SG", "IN", "DE", "FR", "NL", "ES", "IT", "AT"]
    locale = make_locale(rng, rng.choice(countries))
    sale = make_sale(rng, locale, rng.choice([1, 1, 2, 2, 3, 4, 5, 7, 10, 14]), small=True)
    draft = make_receipt(rng, locale, sale, RECEIPT_LAYOUTS[name])
    return _finish("receipt", name, draft, _sale_key("receipt", draft, draft.total, draft.key_rows))


def _statement(rng: Random, name: str, pages: int | None) -> SynthDocument:
    locale = make_locale(rng, rng.choice([*["AU"] * 6, "GB", "DE", "FR", "NL", "AT"]))
    count = rng.choice([4, 8, 14, 20, 28]) if pages in (None, 1) else 42 * pages - 30
    seed = rng.random()
    for _ in range(12):
        draft, key = make_statement(Random(seed), locale, BANK_LAYOUTS[name], count)
        if pages is None or len(draft.sheets) == pages:
            break
        count = max(1, count + (6 if len(draft.sheets) < pages else -4))
    return _finish("bank_statement", name, draft, key)


def _invoice_layout(rng: Random, name: str) -> Any:
    return random_layout(rng) if name == FREE else INVOICE_LAYOUTS[name]


def _sale_key(kind: str, draft: Any, total: Decimal, items: list[dict[str, str | None]]) -> dict[str, Any]:
    sale, printed = draft.sale, draft.printed
    values: dict[str, Any] = {
        "invoice_date": sale.date.isoformat(),
        "due_date": sale.due.isoformat(),
        "subtotal_amount": f"{sale.subtotal:.2f}",
        "gst_amount": f"{sale.tax:.2f}",
        "total_amount": f"{total:.2f}",
    }
    key: dict[str, Any] = {"document_type": kind}
    key |= {n: (values.get(n, printed[n]) if n in printed else None) for n in _SALE_FIELDS}
    key["currency"] = sale.locale.currency if _shows_symbol(draft) else None
    key["is_gst_included"] = ("true" if sale.included else "false") if "gst_amount" in printed else None
    if kind == "receipt":
        key = {name: value for name, value in key.items() if name in _RECEIPT_FIELDS}
    return key | {"line_items": items}


def _shows_symbol(draft: Draft) -> bool:
    symbol = draft.locale.money.symbol
    return any(symbol in word.text for sheet in draft.sheets for word in sheet.words()[0])


def _finish(kind: str, layout: str, draft: Draft, key: dict[str, Any]) -> SynthDocument:
    return SynthDocument(kind, layout, draft.locale.language, key, tuple(_page(sheet) for sheet in draft.sheets))


def _page(sheet: Sheet) -> SynthPage:
    words, fields = sheet.words()
    scale = 200 / 72
    return SynthPage(round(sheet.width * scale), round(sheet.height * scale), words, fields, sheet)


def render(page: SynthPage, dpi: float = 200) -> Image.Image:
    """Return the page as an RGB picture."""
    return render_sheet(page.sheet, dpi)


def save_pdf(document: SynthDocument, path: Path) -> None:
    """Write the document as a digital PDF with a text layer."""
    save_sheets([p.sheet for p in document.pages], path, document.kind)


def save_images(document: SynthDocument, folder: Path, name: str = "page", dpi: float = 200) -> list[Path]:
    """Write every page as NAME-1.png, NAME-2.png ... and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}-{number}.png" for number in range(1, len(document.pages) + 1)]
    for page, path in zip(document.pages, paths, strict=True):
        render(page, dpi).save(path)
    return paths


if __name__ == "__main__":
    from benchmarks.synth_cli import main

    main()
