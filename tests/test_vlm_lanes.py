"""The two lanes as backends, on tiny checkpoints, through the whole pipeline."""

import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

from bad_inputs import encode, picture, text_pdf  # noqa: E402
from PIL import Image  # noqa: E402

from backends import registry  # noqa: E402
from backends.base import ExtractionRequest  # noqa: E402
from router.decisions import neutral_decisions  # noqa: E402
from router.documents import open_document  # noqa: E402
from router.errors import BackendError, BackendUnavailableError, ExtractionError  # noqa: E402
from router.schema import builtin  # noqa: E402
from workers.pipeline import Lanes, process_document  # noqa: E402

SMALL = {"device": "cpu", "slots": 2, "slot_tokens": 2400, "answer_tokens": 40, "second_reading": "never"}
SCAN = encode(picture(), "PNG")
DIGITAL = text_pdf(["Corner Shop Pty Ltd", "Invoice no: A-1001", "Date: 03/02/2024", "Total: 42.50"])
FIELDS = ("total_amount", "invoice_date")


@pytest.fixture(scope="module")
def lanes(tiny_internvl, tiny_llama_vision):
    made = (
        registry.create("internvl3", SMALL | {"checkpoint": str(tiny_internvl), "max_tiles": 4}),
        registry.create("llama-vision", SMALL | {"checkpoint": str(tiny_llama_vision)}),
    )
    yield Lanes(*made)
    for lane in made:
        lane.model.close()


def test_making_a_lane_loads_nothing_and_loading_it_tells_what_it_is(lanes):
    for lane, device in ((lanes.fast, "cpu"), (lanes.deep, "cpu")):
        before = lane.model.facts()
        assert before.weights_hash
        assert not before.loaded
        lane.load()
        facts = lane.model.facts()
        assert facts.loaded
        assert (facts.device, facts.slots, facts.precision) == (device, 2, "fp32")
        assert facts.weights_hash == before.weights_hash
        assert lane.model.problem() is None


@pytest.mark.parametrize("tier", ["auto", "fast", "deep"])
@pytest.mark.parametrize("data", [SCAN, DIGITAL], ids=["scan", "digital"])
def test_both_lanes_read_a_document_through_the_whole_pipeline(lanes, data, tier):
    with open_document(data, "page.png") as opened:
        result = process_document(opened.document, opened, builtin("invoice"), lanes, neutral_decisions(), tier)
    # random weights say nothing that can be read: every field is unknown, none is made up, a person looks
    assert result.status == "needs_review"
    assert set(result.fields) == set(builtin("invoice").names())
    assert not any(field.chosen.present for field in result.fields.values())
    if tier == "auto" and result.route.tier == "fast":
        assert result.escalated_fields


def test_a_reading_says_which_weights_gave_it_and_how_the_page_was_shown(lanes):
    for lane in (lanes.fast, lanes.deep):
        with open_document(SCAN, "page.png") as opened:
            request = ExtractionRequest(opened.document, opened, builtin("invoice"), "fast", FIELDS)
            extraction = lane.extract(request)
        source = extraction.fields["total_amount"].provenance
        assert source.model.endswith(lane.model.facts().weights_hash)
        assert " fp32 " in source.model
        assert source.signals["tiles"] >= 1
        assert extraction.prompt_tokens > 0
        assert extraction.finish_reason in ("length", "error", "repetition")


def test_pages_are_read_in_parts_where_a_model_takes_one_at_a_time(lanes):
    pages = [picture(), picture(200, 300), picture(300, 200)]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with open_document(data, "pages.tiff") as opened:
        request = ExtractionRequest(opened.document, opened, builtin("invoice"), "deep", FIELDS)
        one = lanes.fast.extract(request)
        parts = lanes.deep.extract(request)
    assert set(one.fields) == set(parts.fields) == set(FIELDS)
    assert parts.prompt_tokens % 3 == 0


def test_blank_pages_are_not_asked_about(lanes):
    blank = encode(Image.new("RGB", (200, 280), "white"), "PNG")
    with open_document(blank, "page.png") as opened:
        extraction = lanes.fast.extract(ExtractionRequest(opened.document, opened, builtin("invoice"), "fast", FIELDS))
    assert all(value.provenance.signals == {"blank": 1.0} for value in extraction.fields.values())


def test_a_prompt_that_leaves_no_room_is_told(tiny_internvl):
    lane = registry.create("internvl3", SMALL | {"checkpoint": str(tiny_internvl), "slot_tokens": 300})
    try:
        with open_document(SCAN, "page.png") as opened, pytest.raises(ExtractionError, match="do not fit"):
            lane.extract(ExtractionRequest(opened.document, opened, builtin("invoice"), "fast"))
    finally:
        lane.model.close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, BackendUnavailableError, "hf download OpenGVLab/InternVL3-2B-hf"),
        ({"checkpoint": "nobody/nothing", "revision": "abc"}, BackendUnavailableError, "--revision abc"),
        ({"checkpoint": "/no/such/folder"}, BackendUnavailableError, "no checkpoint folder"),
        ({"checkpoint": "LLAMA"}, BackendError, "not 'internvl'"),
        ({"checkpoint": "TINY", "second_reading": "sometimes"}, BackendError, "never, uncertain, always"),
        ({"checkpoint": "TINY", "max_tiles": 0}, BackendError, "max_tiles"),
        ({"checkpoint": "TINY", "slots": 0}, BackendError, "slots must be at least 1"),
        ({"checkpoint": "TINY", "slot_tokens": 2100}, BackendError, "slot_tokens must leave 256"),
        ({"checkpoint": "TINY", "precision": "int3"}, BackendError, "unknown precision"),
        ({"checkpoint": "TINY", "device": "tpu9"}, BackendError, "unknown device"),
        ({"checkpoint": "TINY", "temperature": -1.0}, BackendError, "temperature"),
    ],
)
def test_what_is_wrong_with_a_lane_is_told_before_any_job(tiny_internvl, tiny_llama_vision, options, error, message):
    named = {"TINY": str(tiny_internvl), "LLAMA": str(tiny_llama_vision)}
    options = {name: named.get(value, value) for name, value in options.items()}
    with pytest.raises(error, match=message):
        registry.create("internvl3", {"device": "cpu", **options}).load()
