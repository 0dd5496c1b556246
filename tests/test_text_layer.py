"""Text layers that say something else than their pages show, through the whole of `docroute run`, and honest ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from layer_pdfs import HEIGHT, HONEST, LIES, SWAPPED, WIDTH, drawn_picture, layer_pdf, lying, page_picture, shown

from router.documents import TextLayer, open_document
from router.schema import load_schema
from router.types import Result
from workers.local import DocumentWorker, create_lanes
from workers.settings import Settings


@cache
def reader(text_layer: TextLayer, tier: str) -> Callable[[Path], object]:
    settings = Settings(text_layer=text_layer)
    lanes = create_lanes(settings)
    worker = DocumentWorker(load_schema("invoice"), settings, tier)  # type: ignore[arg-type]
    return worker.with_lanes(lambda: lanes)


def result_of(folder: Path, data: bytes, text_layer: TextLayer = "auto", tier: str = "auto") -> Result:
    path = folder / "x.pdf"
    path.write_bytes(data)
    outcome = reader(text_layer, tier)(path)
    assert outcome.error is None, outcome.error  # type: ignore[attr-defined]
    return outcome.result  # type: ignore[attr-defined,no-any-return]


def value(result: Result, name: str) -> str | None:
    return result.fields[name].chosen.value


def said(result: Result) -> tuple[str | None, str | None]:
    return value(result, "invoice_number"), value(result, "total_amount")


def scan() -> str:
    return drawn_picture()


LIE = shown(LIES)
SHIFTED = "q 1 0 0 1 {x} 0 cm {text} Q"
ATTACKS = {
    "invisible": shown() + f"\nq 3 Tr\n{LIE} Q",
    "white on white": shown() + f"\n1 g\n{LIE}",
    "nearly white": shown() + f"\n.96 g\n{LIE}",
    "the colour of its band": f"{shown()}\n.2 .3 .6 rg 20 70 300 50 re f 20 370 300 25 re f\n{LIE}",
    "off the page": shown() + "\n" + SHIFTED.format(x=-390, text=LIE),
    "a tenth of a point": shown() + "\nq .01 0 0 .01 30 370 cm\n" + LIE + " Q",
    "transparent": shown() + f"\n/G0 gs\n{LIE}",
    "in a layer that is off": shown() + f"\n/OC /OC1 BDC\n{LIE}\nEMC",
    "clipped away": shown() + f"\nq 0 0 1 1 re W n\n{LIE} Q",
}
"""Lies beside the honest print."""


@pytest.mark.parametrize("name", ATTACKS)
def test_words_that_nobody_sees_are_left_out_and_the_result_says_so(name: str, tmp_path: Path) -> None:
    box = f"/CropBox[5 5 {WIDTH - 5} {HEIGHT - 5}]"
    result = result_of(tmp_path, layer_pdf(ATTACKS[name], box=box))
    assert said(result) == ("INV-1001", "11.00")
    assert name == "off the page" or any("cannot be seen" in note for note in result.notes)


def test_a_trusted_layer_gives_what_it_says(tmp_path: Path) -> None:
    """Without the check these attacks succeed, so the tests above show that it works."""
    assert said(result_of(tmp_path, layer_pdf(shown(SWAPPED)), "trust")) == ("INV-6666", "99.99")
    under = layer_pdf(f"{shown(SWAPPED)}\n{scan()}", picture=page_picture(shown()))
    assert said(result_of(tmp_path, under, "trust")) == ("INV-6666", "99.99")
    assert "99999.00" in said(result_of(tmp_path, layer_pdf(ATTACKS["white on white"]), "trust"))


@pytest.mark.parametrize("order", ["under", "over"])
def test_a_layer_that_lies_about_a_picture_is_not_believed(order: str, tmp_path: Path) -> None:
    lie = shown(SWAPPED)
    content = f"{lie}\n{scan()}" if order == "under" else f"{scan()}\nq 3 Tr\n{lie} Q"
    result = result_of(tmp_path, layer_pdf(content, picture=page_picture(shown())))
    assert said(result) == ("INV-1001", "11.00")
    assert any("the text layer says" in note and "where the page shows" in note for note in result.notes)


def test_a_picture_over_a_single_value_is_read(tmp_path: Path) -> None:
    patch = page_picture(shown())[round((400 - 142) / 72 * 200) : round((400 - 126) / 72 * 200), 680:]
    left, width = 680 / 200 * 72, patch.shape[1] / 200 * 72
    content = shown(lying({"Total: 11.00": "Total: 99999.00"})) + "\n" + drawn_picture(left, 126, width, 16)
    result = result_of(tmp_path, layer_pdf(content, picture=patch))
    assert said(result) == ("INV-1001", "11.00")


LIARS = {
    "other digits": {"1": "9"},
    "other digits of another length": {"0": "00", "1": "9"},
    "zero width": {"1": "\u200b9"},
    "reordered by marks": {"1": "\u202e9\u202c"},
}


@pytest.mark.parametrize("name", LIARS)
def test_a_font_that_lies_about_its_letters_is_not_believed(name: str, tmp_path: Path) -> None:
    result = result_of(tmp_path, layer_pdf(shown(font="F2"), liar=LIARS[name]))
    assert said(result) == ("INV-1001", "11.00")
    assert any("where the page shows" in note for note in result.notes)


def test_a_font_that_lies_in_the_total_alone_is_not_believed(tmp_path: Path) -> None:
    total = tuple(line for line in HONEST if line[3].startswith("Total"))
    content = shown(tuple(line for line in HONEST if line not in total)) + "\n" + shown(total, font="F2")
    assert said(result_of(tmp_path, layer_pdf(content, liar={"1": "9"}))) == ("INV-1001", "11.00")


def test_letters_in_another_order_than_they_are_seen_are_not_believed(tmp_path: Path) -> None:
    rest = tuple(line for line in HONEST if not line[3].startswith("Total"))
    backwards = "BT /F1 11 Tf 303.4 130 Td [(0) 1110 (0) 833 (.) 833 (1) 1110 (1)] TJ ET"
    content = shown((*rest, (250, 130, 11, "Total:"))) + "\n" + backwards
    assert value(result_of(tmp_path, layer_pdf(content)), "total_amount") == "11.00"
    with open_document(layer_pdf(content), "x") as opened:
        assert [word.text for word in opened.document.pages[0].words if word.confidence is None] == ["00.11"]


def test_two_texts_at_one_place_are_no_value_by_themselves(tmp_path: Path) -> None:
    both = shown() + "\n" + shown(((250, 130, 11, "Total: 99.99"),))
    result = result_of(tmp_path, layer_pdf(both))
    assert value(result, "total_amount") != "99.99"


def test_a_lie_on_the_second_page_only_is_found(tmp_path: Path) -> None:
    items = tuple(line for line in HONEST if line[3].split(":")[0] not in ("Subtotal", "Tax", "Total"))
    sums = ((30, 350, 11, "Northwind Traders Ltd, page two, sums of this invoice"), *HONEST[-3:])
    second = "/G0 gs\n" + shown(((250, 110, 11, "Total due: 99999.00"),))
    result = result_of(tmp_path, layer_pdf(shown(items), shown(sums) + "\n" + second))
    assert value(result, "total_amount") == "11.00"
    assert any("cannot be seen" in note and "page 2" in note for note in result.notes)


def test_the_deep_lane_alone_checks_too(tmp_path: Path) -> None:
    assert said(result_of(tmp_path, layer_pdf(shown(font="F2"), liar={"1": "9"}), tier="deep")) == ("INV-1001", "11.00")


def test_an_ignored_layer_is_never_used(tmp_path: Path) -> None:
    data = layer_pdf(shown(SWAPPED))
    with open_document(data, "x", text_layer="ignore") as opened:
        assert not opened.document.pages[0].words
        assert not opened.document.pages[0].blank
    result = result_of(tmp_path, layer_pdf(shown(font="F2"), liar={"1": "9"}), "ignore")
    assert said(result) == ("INV-1001", "11.00")
    assert not result.notes


BAND = ".1 .2 .5 rg 20 120 380 65 re f 1 g\n"
HONEST_PAGES = {
    "print": shown(),
    "light grey": ".7 g\n" + shown(),
    "white on a dark band": shown(HONEST[:-3]) + "\n" + BAND + shown(HONEST[-3:]),
    "over a shaded ground": f".85 .9 .95 rg 0 0 {WIDTH} {HEIGHT} re f 0 g\n" + shown(),
    "bold by printing twice": shown() + "\n" + SHIFTED.format(x=0.2, text=shown()),
    "watermark": ".9 g BT /F1 60 Tf .7 .7 -.7 .7 120 60 Tm (COPY) Tj ET 0 g\n" + shown(),
}


@pytest.mark.parametrize("name", HONEST_PAGES)
def test_an_honest_layer_is_used(name: str, tmp_path: Path) -> None:
    result = result_of(tmp_path, layer_pdf(HONEST_PAGES[name]), tier="fast")
    assert said(result) == ("INV-1001", "11.00")
    assert result.notes == ()


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_an_honest_layer_of_a_turned_page_is_used(rotation: int, tmp_path: Path) -> None:
    result = result_of(tmp_path, layer_pdf(shown(), box=f"/Rotate {rotation}"), tier="fast")
    assert result.notes == ()


def test_the_invisible_words_of_a_searchable_scan_are_used_where_the_picture_shows_them(tmp_path: Path) -> None:
    data = layer_pdf(f"{scan()}\nq 3 Tr\n{shown()} Q", picture=page_picture(shown()))
    with open_document(data, "x") as opened:
        assert len(opened.document.pages[0].words) > 20
        assert {word.confidence for word in opened.document.pages[0].words} == {None}
    result = result_of(tmp_path, data)
    assert said(result) == ("INV-1001", "11.00")
    assert result.notes == ()
