"""The lane over a generating model: token statistics of values, pages in several prompts and their merge."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from bad_inputs import encode, picture, text_pdf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backends.answers import parse_answer
from backends.base import ExtractionRequest, Generation
from backends.extract import ModelLane
from backends.field_answers import TokenStatistics
from backends.page_merge import merge_parts, worst_finish
from backends.prompts import json_schema
from router.documents import open_document
from router.schema import builtin
from router.types import FieldValue, Provenance, is_silent

SCAN = encode(picture(), "PNG")
NAMES = ("supplier_name", "total_amount", "invoice_date")


@dataclass
class Scripted:
    """Gives the scripted answers, one a prompt; takes `at_once` images a prompt."""

    answers: list
    at_once: int = 100
    name: str = "scripted"
    asked: list = field(default_factory=list)

    def split(self, request):
        images = request.images
        starts = range(0, len(images), self.at_once)
        return [replace(request, images=images[i : i + self.at_once], glyph_heights_px=()) for i in starts]

    def generate_batch(self, requests):
        self.asked += requests
        return [self.answers.pop(0) for _ in requests]


def said(text, logprob=-0.1, reason="stop", **more):
    tokens = tuple(text)
    logprobs = (logprob,) * len(tokens)
    return Generation(text, reason, tokens, logprobs, 10, **more)


def read(lane, data=SCAN, schema="invoice", fields=NAMES, name="page.png"):
    with open_document(data, name) as opened:
        return lane.extract(ExtractionRequest(opened.document, opened, builtin(schema), "fast", fields))


def pages_of(count):
    pages = [Image.fromarray(np.roll(np.asarray(picture()), 7 * i, axis=0)) for i in range(count)]
    return encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])


@pytest.mark.parametrize(("count", "named"), [(3, "page 3"), (5, "pages 3 to 5")])
def test_rows_on_pages_that_were_not_shown_are_missing(count, named):
    row = "Tea | 1 | 4.50 | 4.50"
    lane = ModelLane(Scripted([said(row), said("NOT_FOUND")]), "scripted", max_pages=2)
    items = read(lane, pages_of(count), fields=("line_items",), name="pages.tiff").fields["line_items"]
    assert [(check.name, check.outcome) for check in items.checks] == [("rows_complete", "fail")]
    assert items.checks[0].detail == f"{named}: not shown, the lane shows 2 pages at most (max_pages)"
    lane = ModelLane(Scripted([said("NOT_FOUND"), said("NOT_FOUND")]), "scripted", max_pages=2)
    items = read(lane, pages_of(count), fields=("line_items",), name="pages.tiff").fields["line_items"]
    assert is_silent(items)  # a table may begin on a page that nobody saw


def test_statistics_are_those_of_the_value_s_own_tokens_and_of_the_one_that_ends_it():
    text = "total_amount: 12.50\ninvoice_date: NOT_FOUND"
    at = text.index("12.50")
    inside = [at <= i < at + 6 for i in range(len(text))]
    generation = Generation(
        text,
        "stop",
        tuple(text),
        tuple(-0.5 if own else -9.0 for own in inside),
        token_entropies=tuple(0.3 if own else 7.0 for own in inside),
        token_margins=tuple(1.5 if own else 0.0 for own in inside),
    )
    signals = TokenStatistics(generation).of_value(parse_answer(text, NAMES).fields["total_amount"])
    assert signals == pytest.approx(
        {"min_logprob": -0.5, "mean_lowest_logprob": -0.5, "max_entropy": 0.3, "mean_highest_entropy": 0.3,
         "min_margin": 1.5}
    )  # fmt: skip


def test_a_token_that_holds_the_value_s_beginning_and_what_is_before_it_counts():
    generation = Generation("total_amount: 12.50", "stop", ("total_amount", ": 12", ".50"), (-0.1, -2.0, -0.3))
    answer = parse_answer(generation.text, NAMES).fields["total_amount"]
    assert TokenStatistics(generation).of_value(answer)["min_logprob"] == -2.0


def test_the_token_that_ends_an_answer_says_whether_its_last_value_is_whole():
    generation = Generation("total_amount: 12.5", "stop", ("total_amount: ", "12.5", ""), (-0.1, -0.2, -3.0))
    answer = parse_answer(generation.text, NAMES).fields["total_amount"]
    assert TokenStatistics(generation).of_value(answer)["min_logprob"] == -3.0


def test_the_first_token_of_a_letter_of_several_counts():
    generation = Generation("supplier_name: é", "stop", ("supplier_name: ", "", "é", ""), (-0.1, -4.0, -0.2, -0.1))
    answer = parse_answer(generation.text, NAMES).fields["supplier_name"]
    assert TokenStatistics(generation).of_value(answer)["min_logprob"] == -4.0


def test_absence_has_the_probability_of_all_its_tokens():
    lane = ModelLane(Scripted([said("total_amount: NOT_FOUND", logprob=-0.1)]), "scripted")
    value = read(lane, fields=("total_amount",)).fields["total_amount"]
    assert not value.present
    assert value.confidence == pytest.approx(math.exp(-0.1 * len("NOT_FOUND")))


def test_signals_of_how_pages_were_shown_are_kept_in_provenance():
    lane = ModelLane(Scripted([said("total_amount: 5", signals={"tiles": 7.0})]), "scripted")
    fields = read(lane).fields
    assert {value.provenance.signals["tiles"] for value in fields.values()} == {7.0}


def test_keys_that_nobody_asked_for_are_counted():
    lane = ModelLane(Scripted([said("total_amount: 5\nmood_today: good\nshoe_size: 42")]), "scripted")
    assert read(lane).fields["total_amount"].provenance.signals["keys_dropped"] == 2.0


def test_pages_that_do_not_go_into_one_prompt_are_read_in_parts_and_merged():
    model = Scripted(
        [
            said("supplier_name: Shop\ntotal_amount: 10.00\ninvoice_date: NOT_FOUND", -0.5),
            said("supplier_name: NOT_FOUND\ntotal_amount: 12.00\ninvoice_date: NOT_FOUND", -0.1),
            said("total_amount: 1", -0.1, reason="length"),
        ],
        at_once=2,
    )
    extraction = read(ModelLane(model, "scripted"), pages_of(5), name="pages.tiff")
    assert [len(request.images) for request in model.asked] == [2, 2, 1]
    fields = extraction.fields
    assert fields["supplier_name"].value == "Shop"
    assert fields["total_amount"].value == "12.00"
    assert [other.value for other in fields["total_amount"].alternatives] == ["10.00"]
    assert fields["invoice_date"].confidence is None  # the third part may have it and did not come to answer
    assert extraction.finish_reason == "length"
    assert extraction.prompt_tokens == 30


def test_pages_beyond_the_bound_are_left_out_and_this_is_told():
    model = Scripted([said("total_amount: 5")])
    extraction = read(ModelLane(model, "scripted", max_pages=3), pages_of(5), name="pages.tiff")
    assert len(model.asked[0].images) == 3
    assert extraction.fields["total_amount"].provenance.signals["pages_left_out"] == 2.0


def test_rows_of_a_table_over_pages_are_joined_in_order():
    row = 'line_items: [{"description": "%s"}]'
    model = Scripted([said(row % name) for name in ("Tea", "Cake")], at_once=1)
    items = read(ModelLane(model, "scripted"), pages_of(2), fields=("line_items",), name="a.tiff").fields["line_items"]
    assert [(cells["description"].value, cells["description"].page) for cells in items.rows] == [
        ("Tea", 1),
        ("Cake", 2),
    ]


def test_a_json_prompt_carries_the_answer_s_schema():
    model = Scripted([said('{"total_amount": "5.00"}')])
    extraction = read(ModelLane(model, "scripted", form="json"))
    assert model.asked[0].answer_schema == json_schema(builtin("invoice"), extraction_names(extraction))
    assert extraction.fields["total_amount"].value == "5.00"
    assert extraction.fields["total_amount"].provenance.prompt_version.endswith("json")


def extraction_names(extraction):
    return tuple(name for name in builtin("invoice").names() if name in extraction.fields)


def test_letters_of_a_text_layer_are_measured_by_its_words():
    model = Scripted([said("total_amount: 42.50"), said("total_amount: 42.50")])
    lane = ModelLane(replace_split(model), "scripted")
    read(
        lane, text_pdf(["Corner Shop Pty Ltd", "Invoice no: A-1001", "Date: 03/02/2024", "Total: 42.50"]), name="a.pdf"
    )
    read(lane)
    [digital], [scan] = (request.glyph_heights_px for request in model.asked)
    assert digital > 4
    assert scan is None


def replace_split(model):
    model.split = lambda request: [request]
    return model


def value(text="5.00", confidence=0.5, present=True, silent=False):
    provenance = Provenance(tier="fast", backend="b", model="m", signals={"unanswered": 1.0} if silent else {})
    return FieldValue(
        name="total_amount", raw=text if present else None, value=text if present else None, confidence=confidence,
        present=present, provenance=provenance,
    )  # fmt: skip


@given(
    st.lists(
        st.builds(
            value,
            text=st.sampled_from(["5.00", "6.00", "7.00"]),
            confidence=st.none() | st.floats(0, 1),
            present=st.booleans(),
            silent=st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_merging_parts_makes_nothing_up(readings):
    merged = merge_parts(readings)
    assert merged.present == any(reading.present for reading in readings)
    if merged.present:
        assert (merged.value, merged.confidence) in {(r.value, r.confidence) for r in readings}
        others = {other.value for other in merged.alternatives}
        assert {merged.value, *others} == {r.value for r in readings if r.present}
        if len(readings) > 1:
            assert merged.value not in others
    elif len(readings) > 1 and not any("unanswered" in r.provenance.signals for r in readings):
        known = [-1 if r.confidence is None else r.confidence for r in readings]
        assert (-1 if merged.confidence is None else merged.confidence) == min(known)


def test_the_worst_end_of_all_parts_is_told():
    assert worst_finish(["stop", "length", "stop"]) == "length"
    assert worst_finish(["repetition", "refusal"]) == "refusal"
    assert worst_finish(["stop", "stop"]) == "stop"
