"""The two lanes as they ship, on the sample documents: fields, places, a user's own schema, `auto`, and bad pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import encode, text_pdf
from PIL import Image

from backends.base import ExtractionRequest
from backends.ocr import backend
from backends.ocr.backend import OcrLane, create_deep, create_fast
from backends.ocr.doctype import choose_schema, describe_document
from backends.ocr.layout import DocumentLayout, build_layout, document_layout
from backends.ocr.reading import OcrReader
from backends.ocr.scorer import default_scorer, parse_scorer, save_scorer
from router.documents import open_document, read_file
from router.errors import BackendUnavailableError, DocumentError, ExtractionError
from router.schema import Schema, builtin, parse_schema
from router.types import Document, Extraction, PageSource

SAMPLES = Path(__file__).parents[1] / "samples"
NAMES = sorted(p.name for p in SAMPLES.iterdir() if p.suffix not in {"", ".md"})
SCHEMA_OF = {"receipt": "receipt", "invoice": "invoice", "statement": "bank_statement"}
READER = OcrReader()
DEEP_NAMES = ("receipt-faded.jpg", "invoice-scan.jpg")


def schema_of(name: str) -> Schema:
    return builtin(SCHEMA_OF[name.split("-")[0]])


def key_of(name: str) -> dict[str, object]:
    return json.loads((SAMPLES / "keys" / f"{name.split('.')[0]}.json").read_text("utf-8"))


def extract(
    name: str, schema: Schema | None = None, thorough: bool = False, fields: tuple[str, ...] = ()
) -> Extraction:
    lane = OcrLane("ocr-deep" if thorough else "ocr-fast", thorough, READER)
    with read_file(SAMPLES / name) as opened:
        wanted = schema or schema_of(name)
        return lane.extract(ExtractionRequest(opened.document, opened, wanted, "deep" if thorough else "fast", fields))


@dataclass(frozen=True)
class Sample:
    fast: Extraction
    auto: Extraction
    deep: Extraction | None


@pytest.fixture(scope="session")
def samples() -> dict[str, Sample]:
    """Every sample as the lanes read it; all of one document at once, because the reader keeps only the last few."""
    return {
        name: Sample(
            extract(name),
            extract(name, builtin("auto"), fields=("total_amount",)),
            extract(name, thorough=True) if name in DEEP_NAMES else None,
        )
        for name in NAMES
    }


@pytest.fixture(scope="session")
def fast(samples: dict[str, Sample]) -> dict[str, Extraction]:
    return {name: sample.fast for name, sample in samples.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_sums_and_dates_of_every_sample_are_read(name: str, fast: dict[str, Extraction]) -> None:
    key, fields = key_of(name), fast[name].fields
    checked = [f for f in ("total_amount", "invoice_date", "closing_balance", "opening_balance") if key.get(f)]
    assert len(checked) == 2
    assert {f: fields[f].value for f in checked} == {f: key[f] for f in checked}


@pytest.mark.parametrize("name", DEEP_NAMES)
def test_the_deep_lane_reads_them_too_and_tells_its_models(name: str, samples: dict[str, Sample]) -> None:
    deep = samples[name].deep
    assert deep is not None
    assert tuple(deep.fields) == tuple(samples[name].fast.fields)
    assert deep.tier == "deep"
    for field in ("total_amount", "invoice_date"):
        assert deep.fields[field].value == key_of(name)[field]
        assert deep.fields[field].provenance.backend == "ocr-deep"
        assert "PP-OCRv4" in deep.fields[field].provenance.model


def test_every_value_has_a_place_a_confidence_and_other_candidates(fast: dict[str, Extraction]) -> None:
    for extraction in fast.values():
        for name, value in extraction.fields.items():
            assert value.confidence is not None
            assert 0 <= value.confidence <= 1
            assert value.name == name
            if not value.present:
                assert value.value is value.raw is value.page is None
            if value.polygon is not None:
                assert value.page is not None
                assert all(0 <= v <= 1 for v in value.polygon)
            assert len({a.value for a in value.alternatives} | {value.value}) == len(value.alternatives) + 1
            assert value.confidence + sum(a.confidence for a in value.alternatives) < 1.001 or not value.present
    total = fast["invoice-scan.jpg"].fields["total_amount"]
    assert total.polygon is not None
    assert {"best_logit", "readings"} <= set(total.provenance.signals)


def test_a_value_of_a_page_upside_down_is_placed_on_the_page_as_sent(fast: dict[str, Extraction]) -> None:
    fields = fast["invoice-upside-down.jpg"].fields
    total, number = fields["total_amount"].polygon, fields["invoice_number"].polygon
    assert total is not None
    assert number is not None
    assert min(total[1::2]) < min(number[1::2])  # the sum stands above the heading
    assert total[0] > total[2]  # and the text runs from right to left


def test_values_of_later_pages_name_their_page(fast: dict[str, Extraction]) -> None:
    assert fast["invoice-three-pages.pdf"].fields["total_amount"].page == 3
    assert fast["invoice-scan-two-pages.tiff"].fields["invoice_number"].page == 1


def test_rows_come_out_as_tables(fast: dict[str, Extraction]) -> None:
    rows = fast["invoice-digital.pdf"].fields["line_items"].rows
    assert rows is not None
    assert len(rows) == len(key_of("invoice-digital.pdf")["line_items"])  # type: ignore[arg-type]
    assert fast["statement-digital.pdf"].fields["transactions"].rows


def test_only_the_asked_fields_are_answered() -> None:
    asked = ("invoice_date", "total_amount")
    assert tuple(extract("invoice-digital.pdf", fields=asked).fields) == asked
    assert tuple(extract("invoice-digital.pdf", thorough=True, fields=("currency",)).fields) == ("currency",)


@pytest.mark.parametrize("name", NAMES)
def test_auto_chooses_the_sample_s_schema(name: str, samples: dict[str, Sample]) -> None:
    assert samples[name].auto.schema_name == schema_of(name).name


def test_document_types_are_told_from_any_layout_even_an_empty_one() -> None:
    empty = document_layout([build_layout(1, 1.4, [])])
    assert np.isfinite(describe_document(empty)).all()
    assert choose_schema(empty, default_scorer()) in SCHEMA_OF.values()


OWN = b"""
name = "delivery_note"

[[fields]]
name = "note_number"
kind = "identifier"
required = true
labels = ["delivery note no"]
pattern = "DN-[0-9]{5}"

[[fields]]
name = "delivered_on"
kind = "date"
labels = ["delivered on"]

[[fields]]
name = "freight"
kind = "amount"
labels = ["freight charge"]

[[fields]]
name = "driver"
kind = "text"
labels = ["driver"]

[[fields]]
name = "complete"
kind = "boolean"
labels = ["complete"]

[[fields]]
name = "vehicle"
kind = "enum"
values = ["truck", "van"]
labels = ["vehicle"]
"""
NOTE = [
    "Harbour Hardware Pty Ltd", "Delivery note no: DN-20417", "Order no: PO-99812", "Ordered on: 02/03/2024",
    "Delivered on: 14/03/2024", "Vehicle: van", "Driver: Maria Lopez", "Complete: yes", "Goods value: 118.20",
    "Freight charge: 42.50", "Total: 160.70",
]  # fmt: skip


@pytest.mark.parametrize("thorough", [False, True], ids=["fast", "deep"])
def test_a_user_s_own_schema_is_read_without_any_code(thorough: bool) -> None:
    lane = OcrLane("ocr", thorough, READER)
    schema = parse_schema(OWN, "own.toml")
    with open_document(text_pdf(NOTE), "note.pdf") as opened:
        fields = lane.extract(ExtractionRequest(opened.document, opened, schema, "fast")).fields
    assert fields["note_number"].value == "DN-20417"
    assert fields["delivered_on"].value == "2024-03-14"
    assert fields["freight"].value == "42.50"
    assert (fields["complete"].value, fields["vehicle"].value) == ("true", "van")
    assert fields["driver"].confidence is not None


def test_a_pattern_nothing_matches_leaves_the_field_absent() -> None:
    schema = parse_schema(OWN, "own.toml")
    with open_document(text_pdf([line.replace("DN-", "X") for line in NOTE]), "note.pdf") as opened:
        fields = (
            OcrLane("ocr", False, READER).extract(ExtractionRequest(opened.document, opened, schema, "fast")).fields
        )
    assert not fields["note_number"].present


def scribbled() -> Image.Image:
    """A page with a picture on it but no text."""
    pixels = np.full((400, 300, 3), 255, np.uint8)
    pixels[100:300, 50:250] = np.random.default_rng(0).integers(80, 160, (200, 200, 1))
    return Image.fromarray(pixels)


@pytest.mark.parametrize("thorough", [False, True], ids=["fast", "deep"])
@pytest.mark.parametrize("picture", [Image.new("RGB", (300, 400), "white"), scribbled()], ids=["blank", "picture"])
@pytest.mark.parametrize("schema", ["auto", "receipt", "bank_statement"])
def test_a_page_without_text_gives_absent_fields(thorough: bool, picture: Image.Image, schema: str) -> None:
    lane = OcrLane("ocr", thorough, READER)
    with open_document(encode(picture, "PNG"), "page.png") as opened:
        extraction = lane.extract(ExtractionRequest(opened.document, opened, builtin(schema), "fast"))
    present = {name for name, value in extraction.fields.items() if value.present}
    assert not present - {"document_type"}  # noise can look like a letter, and whoever asks for a receipt gets one
    assert tuple(extraction.fields) == builtin(extraction.schema_name).names()


class _Broken:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, document: Document, pages: PageSource, thorough: bool) -> tuple[DocumentLayout, ...]:
        raise self.error


@pytest.mark.parametrize(
    ("raised", "seen"), [(ZeroDivisionError("x"), ExtractionError), (DocumentError("page 2 is damaged"), DocumentError)]
)
def test_what_breaks_in_reading_is_an_error_of_the_lane(raised: Exception, seen: type[Exception]) -> None:
    lane = OcrLane("ocr-fast", False, _Broken(raised))
    with open_document(text_pdf(NOTE), "note.pdf") as opened, pytest.raises(seen, match=str(raised)):
        lane.extract(ExtractionRequest(opened.document, opened, builtin("receipt"), "fast"))


def test_lanes_share_what_they_read_and_tell_their_cost() -> None:
    fast, deep = create_fast(), create_deep()
    assert fast._reader is deep._reader
    assert 1.0 == fast.relative_cost < deep.relative_cost


def test_without_the_second_recogniser_only_the_deep_lane_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = backend.model_path

    def without(package: str, filename: str) -> Path:
        if package == "rapidocr_onnxruntime":
            raise BackendUnavailableError("the package rapidocr_onnxruntime is not installed")
        return real(package, filename)

    monkeypatch.setattr(backend, "model_path", without)
    assert create_fast().name == "ocr-fast"
    with pytest.raises(BackendUnavailableError, match="rapidocr_onnxruntime"):
        create_deep()


def test_a_stored_scorer_comes_back_the_same(tmp_path: Path) -> None:
    scorer = default_scorer()
    save_scorer(scorer, tmp_path / "copy.npz")
    with np.load(tmp_path / "copy.npz", allow_pickle=False) as arrays:
        copy = parse_scorer(dict(arrays))
    assert set(copy.models) == set(scorer.models)
    assert (copy.vocabulary, copy.version, copy.details) == (scorer.vocabulary, scorer.version, scorer.details)
