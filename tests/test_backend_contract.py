"""One body over every registered backend that is installed, and what the registry and the answer parser promise."""

import json

import numpy as np
import pytest
from bad_inputs import encode, picture, text_pdf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backends import registry
from backends.answers import parse_answer
from backends.base import ExtractionRequest
from backends.fake import create as create_fake
from router.decisions import neutral_decisions
from router.documents import open_document
from router.errors import BackendError, BackendUnavailableError, ExtractionError, RetryableError
from router.merge import merge_extractions, status_of
from router.schema import builtin, builtin_names
from router.types import Extraction
from workers.pipeline import review_step

SUBSET = ("invoice_date", "total_amount")
INSTALLED = [info.name for info in registry.available() if info.ready]


TINY = {"internvl3": "tiny_internvl", "llama-vision": "tiny_llama_vision"}
SMALL = {"device": "cpu", "slots": 2, "slot_tokens": 2400, "answer_tokens": 24, "second_reading": "never"}


@pytest.fixture(scope="module", params=sorted({*INSTALLED, *TINY}))
def lane(request):
    if request.param not in TINY:
        yield registry.create(request.param)
        return
    pytest.importorskip("torch", reason="the extra 'vlm' is not installed")
    checkpoint = str(request.getfixturevalue(TINY[request.param]))
    lane = registry.create(request.param, SMALL | {"checkpoint": checkpoint})
    yield lane
    lane.model.close()


def read(lane, data, schema="receipt", tier="fast", fields=()) -> Extraction:
    with open_document(data, "page.png") as opened:
        return lane.extract(ExtractionRequest(opened.document, opened, builtin(schema), tier, tuple(fields)))


SCAN = encode(picture(), "PNG")
DIGITAL = text_pdf(["Corner Shop Pty Ltd", "Invoice no: A-1001", "Date: 03/02/2024", "Total: 42.50"])
BLANK = encode(Image.new("RGB", (200, 280), "white"), "PNG")


@pytest.mark.parametrize("data", [SCAN, DIGITAL], ids=["scan", "digital"])
@pytest.mark.parametrize("tier", ["fast", "deep"])
def test_every_wanted_field_gets_one_value(lane, data, tier):
    extraction = read(lane, data, tier=tier)
    assert tuple(extraction.fields) == builtin("receipt").names()
    assert all(value.name == name for name, value in extraction.fields.items())
    assert extraction.schema_name == "receipt"
    assert extraction.tier == tier


def test_only_the_named_fields_are_answered(lane):
    assert set(read(lane, DIGITAL, fields=SUBSET).fields) == set(SUBSET)


def test_confidences_and_places_are_in_range(lane):
    for value in read(lane, DIGITAL).fields.values():
        assert value.confidence is None or 0 <= value.confidence <= 1
        assert value.page in {None, 1}
        assert value.polygon is None or (value.page is not None and all(0 <= x <= 1 for x in value.polygon))
        assert value.provenance is not None
        assert value.provenance.backend == lane.name


def test_absent_and_present_fields_are_told_apart(lane):
    for value in read(lane, DIGITAL).fields.values():
        if value.present:
            assert value.raw
        else:
            assert (value.raw, value.value, value.rows) == (None, None, None)


def test_the_same_request_gives_the_same_answer(lane):
    first, second = read(lane, DIGITAL), read(lane, DIGITAL)
    assert first.fields == second.fields


def test_nothing_is_invented_on_a_blank_page(lane):
    extraction = read(lane, BLANK)
    assert tuple(extraction.fields) == builtin("receipt").names()
    assert not [value for value in extraction.fields.values() if value.present]


def test_auto_chooses_a_built_in_schema(lane):
    extraction = read(lane, DIGITAL, schema="auto")
    assert extraction.schema_name in set(builtin_names()) - {"auto"}
    assert set(extraction.fields) == set(builtin(extraction.schema_name).names())


def test_an_unknown_backend_lists_the_known_ones():
    with pytest.raises(BackendError, match=r"did you mean 'ocr-fast'.*fake.*ocr-deep, ocr-fast"):
        registry.create("ocr-fats")


def test_a_missing_package_becomes_an_install_hint(monkeypatch, tmp_path):
    (tmp_path / "lane_in_a_plugin.py").write_text("import no_such_package_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.EntryPoint("gone", "lane_in_a_plugin:create", registry.GROUP)
    monkeypatch.setattr(registry, "_registered", lambda: {"gone": entry})
    with pytest.raises(BackendUnavailableError, match="pip install no_such_package_here"):
        registry.create("gone")
    assert [(info.name, info.state) for info in registry.available()] == [("gone", "not installed")]


def test_a_backend_that_lacks_no_package_but_an_option_is_not_usable():
    (info,) = [info for info in registry.available() if info.name == "openai-http"]
    assert (info.state, info.ready) == ("not usable", False)
    assert "needs the options url" in info.detail


def test_an_unknown_option_names_the_known_ones():
    with pytest.raises(BackendError, match=r"no option 'scrip'; it has: script, relative_cost"):
        registry.create("fake", {"scrip": "x"})


def fake_answer(text, finish_reason="stop", schema="receipt", fields=()):
    lane = create_fake([{"document": "page.png", "text": text, "finish_reason": finish_reason}])
    return read(lane, SCAN, schema=schema, fields=fields)


def test_a_scripted_answer_goes_through_the_parser_and_is_normalised():
    fields = fake_answer("invoice_date: 03/02/2024\ntotal_amount: $1,234.50\nsupplier_name: NOT_FOUND").fields
    assert fields["invoice_date"].value == "2024-02-03"
    assert fields["invoice_date"].ambiguous
    assert fields["total_amount"].value == "1234.50"
    assert not fields["supplier_name"].present
    assert fields["due_date"].provenance.signals == {"unanswered": 1.0}
    assert fields["due_date"].confidence is None


def test_a_json_answer_with_rows_is_read():
    rows = [{"description": "Tea", "total_price": 4.5}, {"description": "Cake", "total_price": None}]
    fields = fake_answer("```json\n" + json.dumps({"Total Amount": "4.50", "line_items": rows, "mood": "good"})).fields
    assert fields["total_amount"].value == "4.50"
    assert [row["description"].value for row in fields["line_items"].rows] == ["Tea", "Cake"]
    assert "total_price" not in fields["line_items"].rows[1]


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("supplier_name: Shop\ntotal_amount: 12.", {"supplier_name"}),
        ('{"supplier_name": "Shop", "total_amount": "12.', {"supplier_name"}),
        ('{"supplier_name": "Shop", "total_amount": 12', {"supplier_name"}),
        ("supplier_name: Shop\ntotal_amount: 12.50\n", {"supplier_name", "total_amount"}),
    ],
)
def test_a_cut_off_answer_keeps_its_finished_fields(text, finished):
    assert set(parse_answer(text, ("supplier_name", "total_amount"), truncated=True).fields) == finished


@given(text=st.text(st.sampled_from('ab_:\n "{}[],1.\\*') | st.characters()), truncated=st.booleans())
def test_no_answer_breaks_the_parser(text, truncated):
    for answer in parse_answer(text, ("a", "b", "a_b"), truncated).fields.values():
        assert 0 <= answer.start <= answer.end <= len(text)
        assert answer.raw is None or answer.raw.strip()


def test_unknown_keys_are_dropped_and_counted():
    parsed = parse_answer("total_amount: 1.00\nfavourite_colour: blue\nmood_today: good", ("total_amount",))
    assert set(parsed.fields) == {"total_amount"}
    assert parsed.dropped == 2


def test_a_value_may_run_over_lines_with_colons_in_them():
    parsed = parse_answer(
        "business_address: 1 High St\nTel: 555\ntotal_amount: 2", ("business_address", "total_amount")
    )
    assert parsed.fields["business_address"].raw == "1 High St Tel: 555"


def test_confidence_is_the_least_sure_token_of_the_value_itself():
    lane = create_fake([{"fields": {"total_amount": "12.50"}}])
    value = read(lane, SCAN).fields["total_amount"]
    assert value.confidence == pytest.approx(np.exp(value.provenance.signals["min_logprob"]))
    assert value.confidence == pytest.approx(0.98)


@pytest.mark.parametrize(("told", "error"), [("retryable", RetryableError), ("extraction", ExtractionError)])
def test_the_fake_raises_what_its_script_says_as_often_as_it_says(told, error):
    lane = create_fake([{"document": "page.png", "error": told, "times": 1}])
    with pytest.raises(error):
        read(lane, SCAN)
    assert read(lane, SCAN).fields["document_type"].value == "receipt"


@pytest.mark.parametrize(
    ("text", "reason", "ended"),
    [
        ("I cannot help with that.", "stop", "refusal"),
        ("", "stop", "error"),
        ("A photograph of a receipt.", "stop", "error"),
        ("total_amount: 12", "length", "length"),
        ("total_amount: 1111111", "repetition", "repetition"),
        ("Never mind", "refusal", "refusal"),
    ],
)
def test_fields_of_an_answer_that_holds_none_are_unknown_and_the_reading_ended_early(text, reason, ended):
    lane = create_fake([{"document": "page.png", "text": text, "finish_reason": reason}])
    extraction = read(lane, SCAN)
    assert extraction.finish_reason == ended
    assert tuple(extraction.fields) == builtin("receipt").names()
    for value in extraction.fields.values():
        assert (value.present, value.confidence, value.raw) == (False, None, None)
        assert value.provenance.signals["unanswered"] == 1.0
    review = review_step(extraction, builtin("receipt"), neutral_decisions())
    assert set(review.fields) >= {spec.name for spec in builtin("receipt").fields if spec.required}
    merged = merge_extractions(extraction, extraction, builtin("receipt"))
    assert status_of(merged, builtin("receipt"))[0] == "needs_review"


@pytest.mark.parametrize("script", ["missing.json", [{"documents": "a"}], [{"error": "explode"}]])
def test_a_wrong_script_is_refused_with_its_cause(script):
    with pytest.raises(BackendError, match="script"):
        create_fake(script)


def test_a_value_in_the_text_layer_gets_its_place():
    lane = create_fake([{"fields": {"total_amount": "42.50"}}])
    value = read(lane, DIGITAL).fields["total_amount"]
    assert value.page == 1
    assert value.polygon is not None
    assert np.all(np.diff(value.polygon[:4:2]) > 0)
    assert value.provenance.signals["grounding"] == 1.0
