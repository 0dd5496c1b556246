import json
import re
from decimal import Decimal
from pathlib import Path
from random import Random

import numpy as np
import pypdfium2
import pytest
from stdnum import iban
from stdnum.au import abn

from benchmarks import degrade as damage
from benchmarks.synth import KINDS, SynthDocument, layouts, make_document, render, save_images, save_pdf
from benchmarks.synth_cli import main
from benchmarks.synth_numbers import make_abn, make_iban
from benchmarks.synth_samples import SAMPLES, make_samples
from router.schema import builtin
from router.types import Word

SAMPLES_FOLDER = Path(__file__).parent.parent / "samples"
ALL = [make_document(kind, seed, name) for kind in KINDS for name in layouts(kind) for seed in (0, 1)]


def decimal(text: str | None) -> Decimal:
    assert text is not None
    return Decimal(text)


def boxes(document: SynthDocument) -> list[tuple[str, np.ndarray]]:
    """Left, top, right, bottom of every word in points, page by page, a little inside the drawn box."""
    found = []
    for page in document.pages:
        size = np.array([page.sheet.width, page.sheet.height] * 2)
        array = np.array([[w.polygon[i] for i in (0, 1, 4, 5)] for w in page.words]) * size
        height = array[:, 3] - array[:, 1]
        array[:, 1] += 0.22 * height
        array[:, 3] -= 0.22 * height
        found.append((f"{document.kind} {document.layout}", array + np.array([1, 0, -1, 0])))
    return found


def test_there_are_enough_layouts_to_hold_some_out() -> None:
    assert len(layouts("invoice")) >= 14
    assert len(layouts("receipt")) >= 8
    assert len(layouts("bank_statement")) >= 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_document(kind: str) -> None:
    first, second, other = make_document(kind, 5), make_document(kind, 5), make_document(kind, 6)
    assert first.key == second.key
    assert [p.words for p in first.pages] == [p.words for p in second.pages]
    assert first.key != other.key


@pytest.mark.parametrize("kind", KINDS)
def test_keys_name_exactly_the_fields_of_the_schema(kind: str) -> None:
    names = set(builtin(kind).names())
    for seed in range(10):
        assert set(make_document(kind, seed).key) == names


def test_net_and_tax_add_up_to_the_total() -> None:
    checked = 0
    for seed in range(150):
        key = make_document("invoice", seed).key
        if key["subtotal_amount"] and key["gst_amount"]:
            assert decimal(key["subtotal_amount"]) + decimal(key["gst_amount"]) == decimal(key["total_amount"])
            checked += 1
    assert checked > 60


def test_rows_multiply_and_statements_balance() -> None:
    for document in ALL:
        for row in document.key.get("line_items", []):
            if row["quantity"] and row["unit_price"]:
                exact = decimal(row["quantity"]) * decimal(row["unit_price"])
                assert abs(exact - decimal(row["total_price"])) <= Decimal("0.005")
        if document.kind == "bank_statement":
            balance = decimal(document.key["opening_balance"])
            for row in document.key["transactions"]:
                balance += Decimal(row["credit"] or 0) - Decimal(row["debit"] or 0)
                assert balance == decimal(row["balance"])
            assert balance == decimal(document.key["closing_balance"])


def test_the_key_holds_only_what_is_printed_under_its_field_name() -> None:
    for document in ALL:
        texts: dict[str, list[str]] = {}
        for page in document.pages:
            for word, name in zip(page.words, page.fields, strict=True):
                texts.setdefault(name, []).append(word.text)
        for name in (
            "supplier_name",
            "business_address",
            "invoice_number",
            "account_number",
            "account_holder",
            "business_phone",
            "supplier_website",
            "payer_phone",
            "bsb_number",
        ):
            value = document.key.get(name)
            if value is not None:
                assert value.upper() in " ".join(texts[name]).upper(), (document.layout, name)
        for name in ("total_amount", "gst_amount", "subtotal_amount", "closing_balance"):
            if document.key.get(name) is not None:
                digits = re.sub(r"\D", "", document.key[name])
                assert digits in re.sub(r"\D", "", "".join(texts[name])), (document.layout, name)


def test_words_stay_on_the_page_and_apart() -> None:
    for document in ALL:
        for page in document.pages:
            assert all(0 <= v <= 1 for word in page.words for v in word.polygon), document.layout
        for name, a in boxes(document):
            wide = np.minimum(a[:, None, 2], a[None, :, 2]) - np.maximum(a[:, None, 0], a[None, :, 0])
            high = np.minimum(a[:, None, 3], a[None, :, 3]) - np.maximum(a[:, None, 1], a[None, :, 1])
            assert not np.any(np.triu((wide > 0) & (high > 0), 1)), name


@pytest.mark.parametrize("country", ["DE", "FR", "NL", "AT", "CH"])
def test_generated_numbers_pass_their_checksums(country: str) -> None:
    for seed in range(50):
        assert iban.is_valid(make_iban(Random(seed), country))
        assert abn.is_valid(make_abn(Random(seed)))


def test_printed_australian_business_numbers_are_valid() -> None:
    keys = [make_document("invoice", seed, "classic").key for seed in range(120)]
    numbers = [k["business_abn"] for k in keys if k["currency"] == "AUD" and k["business_abn"]]
    assert len(numbers) > 3
    assert all(abn.is_valid(n) for n in numbers)


@pytest.mark.parametrize("pages", [1, 2, 4])
def test_an_invoice_has_as_many_pages_as_asked_for(pages: int) -> None:
    document = make_document("invoice", 3, "classic", pages)
    assert len(document.pages) == pages
    assert any("total_amount" in page.fields for page in document.pages[-1:])


def test_a_saved_pdf_carries_the_drawn_words_as_text(tmp_path: Path) -> None:
    document = make_document("invoice", 2, "ship_to", 2)
    save_pdf(document, tmp_path / "a.pdf")
    pdf = pypdfium2.PdfDocument(tmp_path / "a.pdf")
    text = " ".join(pdf[i].get_textpage().get_text_range() for i in range(len(pdf)))
    assert len(pdf) == 2
    assert document.key["invoice_number"] in text
    missing = [w.text for p in document.pages for w in p.words if w.text not in text]
    assert not missing
    pdf.close()


def test_ink_lies_where_the_words_are_said_to_be() -> None:
    page = make_document("receipt", 3, "till").pages[0]
    grey = np.asarray(render(page, 100).convert("L"))
    height, width = grey.shape
    for word in page.words:
        if not any(c.isalnum() for c in word.text):
            continue
        x1, y1, x2, y2 = (word.polygon[i] for i in (0, 1, 4, 5))
        crop = grey[int(y1 * height) : int(y2 * height) + 1, int(x1 * width) : int(x2 * width) + 1]
        assert crop.min() < 160, word.text


def test_pictures_are_written_page_by_page(tmp_path: Path) -> None:
    document = make_document("bank_statement", 1, "ledger", 2)
    assert [p.name for p in save_images(document, tmp_path, "s", 50)] == ["s-1.png", "s-2.png"]


@pytest.mark.parametrize("kind", damage.KINDS)
def test_damage_keeps_shape_and_is_repeatable_and_changes_the_picture(kind: str) -> None:
    rgb = np.asarray(render(make_document("receipt", 3, "till").pages[0], 80))
    first, second = (damage.degrade(rgb, kind, 0.6, 9) for _ in range(2))
    assert first.shape == rgb.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert not np.array_equal(first, rgb)


def test_more_severe_damage_is_farther_from_the_original() -> None:
    rgb = np.asarray(render(make_document("receipt", 3, "till").pages[0], 80))
    for kind in ("blur", "noise", "shadow", "low_resolution", "jpeg", "fade"):
        low, high = (np.abs(damage.degrade(rgb, kind, s, 1).astype(int) - rgb).mean() for s in (0.1, 0.9))
        assert low < high, kind


def test_unknown_damage_and_wrong_severity_are_refused() -> None:
    rgb = np.full((20, 20, 3), 255, np.uint8)
    with pytest.raises(ValueError, match="known are blur"):
        damage.degrade(rgb, "coffee", 0.5, 0)
    with pytest.raises(ValueError, match="severity"):
        damage.degrade(rgb, "blur", 1.5, 0)


def test_word_noise_touches_about_the_asked_share() -> None:
    words = [w for seed in range(8) for w in make_document("receipt", seed).pages[0].words]
    assert damage.noisy_words(words, 0, 1) == tuple(words)
    noisy = damage.noisy_words(words, 0.3, 1)
    same = len(set(noisy) & set(words)) / len(set(words))
    assert 0.55 < same < 0.85
    assert noisy == damage.noisy_words(words, 0.3, 1)
    assert all(isinstance(w, Word) and w.text.strip() for w in noisy)


def test_the_samples_in_the_repository_are_those_the_script_makes(tmp_path: Path) -> None:
    made = {p.name for p in make_samples(tmp_path)}
    shipped = {p.name for p in SAMPLES_FOLDER.iterdir() if p.is_file() and p.suffix != ".md"}
    assert made == shipped == {s.file for s in SAMPLES}
    for path in (tmp_path / "keys").iterdir():
        assert json.loads(path.read_text()) == json.loads((SAMPLES_FOLDER / "keys" / path.name).read_text()), path.name
    assert sum(p.stat().st_size for p in SAMPLES_FOLDER.rglob("*") if p.is_file()) < 3_000_000


def test_the_command_line_writes_documents_with_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            str(tmp_path),
            "--kind",
            "receipt",
            "--count",
            "2",
            "--degrade",
            "blur,skew",
            "--severity",
            "0.3",
            "--dpi",
            "60",
        ]
    )
    assert sorted(p.name for p in tmp_path.glob("*.png")) == ["receipt-00000.png", "receipt-00001.png"]
    assert json.loads((tmp_path / "keys" / "receipt-00000.json").read_text())["total_amount"]
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--layout", "nonsense"])
    assert "has no layout 'nonsense'" in capsys.readouterr().err
