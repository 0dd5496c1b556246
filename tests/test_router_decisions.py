"""Decisions by pair of lanes, and what the neutral ones do where nothing was fitted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.confidence import default_weights, fuse, reading_signals, table_probability
from router.decisions import decisions_for, load_decisions, neutral_decisions
from router.errors import SettingsError
from router.merge import merge_extractions, status_of
from router.policy import load_policy, review
from router.schema import FieldSpec, Schema, builtin
from router.types import Cell, Check, Extraction, FieldValue, Page, Provenance, Word

NEUTRAL = neutral_decisions()
OCR = decisions_for("ocr-fast", "ocr-deep")
INVOICE = builtin("invoice")
CORNERS = (0.1, 0.1, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2)
KINDS = Schema(
    name="kinds",
    fields=(
        FieldSpec(name="text", kind="text"),
        FieldSpec(name="paid", kind="boolean"),
        FieldSpec(name="sort", kind="enum", values=("a", "b")),
        FieldSpec(name="rows", kind="table", columns=(FieldSpec(name="cell", kind="text"),)),
    ),
)


def said(name, value, confidence=0.9, tier="fast", backend="a", **more):
    source = Provenance(tier=tier, backend=backend, model="m")
    fields = {"raw": value, "value": value, "present": value is not None} | more
    return FieldValue(name=name, confidence=confidence, provenance=source, **fields)


def silence(name, tier="fast"):
    source = Provenance(tier=tier, backend="a", model="m", signals={"unanswered": 1.0})
    return FieldValue(name=name, present=False, provenance=source)


def lane(tier, *readings):
    fields = {r.name: r for r in readings}
    return Extraction(document_id="d", tier=tier, schema_name="invoice", fields=fields)


def merged(fast, deep=(), schema=INVOICE, decisions=NEUTRAL, pages=()):
    deep_lane = lane("deep", *deep) if deep else None
    return merge_extractions(lane("fast", *fast), deep_lane, schema, decisions.weights, pages)


def page(*texts, number=1):
    words = tuple(Word(text=t, polygon=CORNERS) for t in texts)
    return Page(number=number, width_px=10, height_px=10, words=words)


def reviewed(fields, pages=(), schema=INVOICE):
    alone = merged(fields, schema=schema, pages=pages)
    chosen = {name: field.chosen for name, field in alone.items()}
    return review(lane("fast").model_copy(update={"fields": chosen}), schema, NEUTRAL.policy)


@pytest.mark.parametrize(
    "pair", [("internvl3", "llama-vision"), ("ocr-fast", "llama-vision"), ("ocr-deep", "ocr-fast")]
)
def test_every_pair_but_the_ocr_lanes_gets_the_neutral_decisions(pair):
    assert decisions_for(*pair) == NEUTRAL
    assert not NEUTRAL.calibrated


def test_the_ocr_lanes_keep_the_shipped_weights_and_policy():
    assert OCR.calibrated
    assert OCR.weights == default_weights()
    assert OCR.policy == load_policy()


def test_confidence_is_vouched_for_only_where_the_lanes_of_the_pair_read():
    fast, deep = (lane(t, said("total_amount", "1.00", tier=t, backend=f"ocr-{t}")) for t in ("fast", "deep"))
    assert OCR.vouches_for(fast, deep)
    assert OCR.vouches_for(None, deep)
    assert not OCR.vouches_for(fast, lane("deep", said("total_amount", "1.00", tier="deep", backend="internvl3")))
    assert not NEUTRAL.vouches_for(fast, deep)


def test_a_file_holds_weights_and_policy_or_names_files_beside_it(tmp_path):
    (tmp_path / "weights.json").write_text(NEUTRAL.weights.model_dump_json())
    values = {"version": "mine", "weights": "weights.json", "policy": {"version": "p"}}
    (tmp_path / "mine.json").write_text(json.dumps(values))
    found = load_decisions(tmp_path / "mine.json")
    assert (found.version, found.calibrated, found.weights) == ("mine", False, NEUTRAL.weights)
    assert found.is_for("any", "pair")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be an object"),
        ("[" * 100_000, "not valid JSON"),
        ('{"version": "x", "policy": {"version": "p"}}', "weights"),
        ('{"version": "x", "weights": "none.json", "policy": {"version": "p"}}', "none.json"),
        ('{"version": "x", "weights": {"intercept": "much"}}', "weights"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, text, cause):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=cause) as error:
        load_decisions(path)
    assert str(tmp_path) in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.json"):
        load_decisions(tmp_path / "none.json")


@pytest.mark.parametrize(("p", "q", "value"), [(0.65, 0.05, "A"), (0.8, 0.8, "A"), (0.65, 0.9, "B"), (0.4, 0.45, "B")])
def test_the_deep_reading_replaces_a_different_one_only_when_it_is_the_more_probable(p, q, value):
    field = merged([said("supplier_name", "A", p)], [said("supplier_name", "B", q, "deep")])["supplier_name"]
    assert field.chosen.value == value


def test_a_failed_sum_sends_its_fields_deep_before_all_others():
    amounts = {"subtotal_amount": "100.00", "gst_amount": "10.00", "total_amount": "170.00"}
    fields = [said(name, value, 0.999) for name, value in amounts.items()] + [said("currency", "AUD", 0.6)]
    risky = reviewed(fields)
    assert all(risky.expected_gains[name] == 1.0 for name in amounts)
    assert risky.expected_gains["currency"] < 1.0
    alone = merged(fields)
    assert all(alone[name].chosen.confidence <= 0.6 for name in amounts)


def test_a_value_that_stands_nowhere_is_doubtful_however_sure_its_lane_is():
    pages = [page("ACME", "TRADING")]
    risky = reviewed([said("supplier_name", "Bogus Ltd", 0.9999)], pages)
    assert risky.expected_gains["supplier_name"] == 1.0
    assert "stands nowhere" in risky.reasons["supplier_name"]
    assert "supplier_name" not in reviewed([said("supplier_name", "Acme Trading", 0.9999)], pages).fields


def test_a_value_that_may_stand_on_a_page_without_words_is_not_called_invented():
    pages = [page("ACME", "TRADING"), page(number=2)]
    assert "supplier_name" not in reviewed([said("supplier_name", "Bogus Ltd", 0.9999)], pages).fields


def test_no_checksum_lets_an_invented_value_beat_one_on_the_page():
    pages = [page("ABN", "51", "824", "753", "557")]
    fast = said("business_abn", "51 824 753 557", 0.5)
    deep = said("business_abn", "33 051 775 556", 0.999, "deep")
    field = merged([fast], [deep], pages=pages)["business_abn"]
    assert (field.chosen.value, field.rule) == ("51 824 753 557", "grounded")


def test_no_sum_lets_an_invented_value_beat_one_on_the_page():
    pages = [page("100.00", "10.00", "170.00")]
    sure = [said("subtotal_amount", "100.00"), said("gst_amount", "10.00"), said("total_amount", "170.00")]
    field = merged(sure, [said("total_amount", "110.00", 0.99, "deep")], pages=pages)["total_amount"]
    assert (field.chosen.value, field.rule) == ("170.00", "grounded")


@pytest.mark.parametrize("deep", [False, True])
def test_a_field_that_no_lane_answered_is_unresolved_whatever_its_kind(deep):
    names = KINDS.names()
    others = [silence(name, "deep") for name in names] if deep else []
    fields = merged([silence(name) for name in names], others, KINDS)
    assert {field.rule for field in fields.values()} == {"unresolved"}
    assert all(field.chosen.confidence is None for field in fields.values())
    assert all(len(field.candidates) == 1 + deep for field in fields.values())
    assert status_of(fields, KINDS) == ("done_with_gaps", names)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    "claim",
    [
        said("text", "x", 0.01),
        said("text", None, 0.01),
        said("rows", None, 0.01),
        said("rows", None, 0.01, present=True, rows=({"cell": Cell(raw="x", value="x")},)),
    ],
)
def test_silence_loses_against_any_claim_and_lends_it_nothing(claim, swapped):
    pair = [silence(claim.name)], [claim]
    fields = merged(*(reversed(pair) if swapped else pair), schema=KINDS)
    field = fields[claim.name]
    assert field.rule == "only"
    assert (field.chosen.present, field.chosen.value, field.chosen.rows) == (claim.present, claim.value, claim.rows)
    assert field.chosen.confidence == pytest.approx(merged([claim], schema=KINDS)[claim.name].chosen.confidence)
    assert len(field.candidates) == 2


def test_an_unanswered_field_is_read_again_as_one_that_was_not_read():
    risky = reviewed([silence("text"), said("paid", "true", 0.99)], schema=KINDS)
    assert risky.fields == ("text",)
    assert risky.expected_gains["text"] == 1.0


def test_a_lone_value_that_cannot_be_read_is_unresolved():
    fields = merged([said("total_amount", None, 0.9, raw="about ten", present=True)])
    assert fields["total_amount"].rule == "unresolved"


UNIT = st.floats(0.0, 1.0)
CHECKS = st.lists(st.sampled_from(["pass", "fail"]), max_size=2)


def probability(p, other=None, agree=False, checks=(), grounding=None):
    found = [Check(name="c", outcome=outcome) for outcome in checks]
    other_reading = None if other is None else said("supplier_name", "B", other)
    signals = reading_signals(said("supplier_name", "A", p), other_reading, agree, found, grounding)
    return fuse(signals, NEUTRAL.weights)


@given(UNIT, UNIT, st.none() | UNIT, st.booleans(), CHECKS, st.none() | UNIT)
def test_a_surer_lane_is_never_less_probable(p, q, other, agree, checks, grounding):
    low, high = (probability(x, other, agree, checks, grounding) for x in sorted((p, q)))
    assert 0.0 <= low <= high <= 1.0


@given(UNIT, st.none() | UNIT, st.booleans(), UNIT, UNIT)
def test_better_grounding_and_passed_checks_never_lower_a_probability(p, other, agree, g, h):
    low, high = (probability(p, other, agree, grounding=x) for x in sorted((g, h)))
    assert low <= high
    failed, plain, passed = (probability(p, other, agree, checks) for checks in (["fail"], [], ["pass"]))
    assert failed <= plain <= passed


@given(UNIT, UNIT, UNIT)
def test_another_reading_counts_by_its_own_probability(p, q, r):
    low, high = sorted((q, r))
    assert probability(p, low, agree=True) <= probability(p, high, agree=True)
    assert probability(p, low) >= probability(p, high)


def test_a_lone_reading_keeps_its_own_probability():
    assert probability(0.65) == pytest.approx(0.65)


TABLES = st.lists(st.lists(UNIT, max_size=4), max_size=8)


@given(TABLES, st.integers(1, 4))
def test_a_table_of_the_same_rows_again_is_as_probable(cells, times):
    once, again = table_probability(cells), table_probability(cells * times)
    assert again == (None if once is None else pytest.approx(once))
    assert once is None or 0.0 <= once <= 1.0


@given(TABLES, st.data())
def test_a_surer_cell_never_makes_a_table_less_probable(cells, data):
    rows = [index for index, row in enumerate(cells) if row]
    if not rows:
        assert table_probability(cells) is None
        return
    row = data.draw(st.sampled_from(rows))
    column = data.draw(st.integers(0, len(cells[row]) - 1))
    better = [list(one) for one in cells]
    better[row][column] = data.draw(st.floats(cells[row][column], 1.0))
    assert table_probability(better) >= table_probability(cells)


def test_a_row_is_as_sure_as_its_least_sure_cell():
    assert table_probability([[0.9, 0.5], [], [1.0, 0.7]]) == pytest.approx(0.6)
