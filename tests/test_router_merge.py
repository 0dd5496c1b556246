import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import router.merge
from benchmarks.plain_weights import plain_weights
from router.merge import merge_extractions, status_of
from router.schema import FieldSpec, Schema, builtin
from router.types import Cell, Extraction, FieldValue, MergedField, Page, Provenance, Word

INVOICE = builtin("invoice")
STATEMENT = builtin("bank_statement")
PLAIN = plain_weights()
EVEN = PLAIN.model_copy(update={"deep_margin": 0.0})


@pytest.fixture(autouse=True, scope="module")
def plain():
    """Rules are tested with weights set by hand, whatever weights ship."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(router.merge, "default_weights", lambda: PLAIN)
        yield


def reading(name, value, confidence=0.8, alternatives=(), **more):
    others = tuple(FieldValue(name=name, raw=v, value=v, confidence=c) for v, c in alternatives)
    raw = {"raw": value, "value": value, "present": value is not None} | more
    return FieldValue(name=name, confidence=confidence, alternatives=others, **raw)


def lane(tier, *readings):
    fields = {r.name: r for r in readings}
    return Extraction(document_id="d", tier=tier, schema_name="invoice", fields=fields)


def table(name, confidence, *rows):
    cells = tuple({k: Cell(raw=v, value=v) for k, v in row.items()} for row in rows)
    return FieldValue(name=name, rows=cells, confidence=confidence)


def merged(fast, deep, schema=INVOICE, **more):
    return merge_extractions(lane("fast", *fast), lane("deep", *deep), schema, **more)


def page_with(*texts):
    corners = (0.1, 0.1, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2)
    return [Page(number=1, width_px=10, height_px=10, words=tuple(Word(text=t, polygon=corners) for t in texts))]


def test_a_field_that_one_lane_read_keeps_its_value_and_probability():
    field = merge_extractions(lane("fast", reading("supplier_name", "ACME", 0.7)), None, INVOICE)["supplier_name"]
    assert (field.chosen.value, field.rule) == ("ACME", "only")
    assert field.chosen.confidence == pytest.approx(0.7)


def test_an_unknown_probability_of_a_lone_reading_stays_unknown():
    field = merge_extractions(None, lane("deep", reading("supplier_name", "ACME", None)), INVOICE)["supplier_name"]
    assert (field.chosen.confidence, field.rule) == (None, "only")


def test_fields_that_no_lane_was_asked_for_are_left_out():
    assert set(merged([reading("supplier_name", "A")], [reading("currency", "EUR")])) == {"supplier_name", "currency"}


def test_agreement_raises_the_probability_and_ignores_case_and_blanks():
    field = merged([reading("supplier_name", "Acme Ltd.")], [reading("supplier_name", "ACME LTD")])["supplier_name"]
    assert (field.chosen.value, field.rule) == ("ACME LTD", "agree")
    assert field.chosen.confidence > 0.8
    assert len(field.candidates) == 2


def test_two_claims_of_absence_agree():
    field = merged([reading("due_date", None, 0.7)], [reading("due_date", None, 0.7)])["due_date"]
    assert (field.rule, field.chosen.present) == ("agree", False)
    assert field.chosen.confidence > 0.7


def test_absence_competes_with_a_value_by_its_probability():
    sure = merged([reading("po_number", None, 0.95)], [reading("po_number", "17", 0.4)])["po_number"]
    assert (sure.rule, sure.chosen.present) == ("calibrated", False)
    unsure = merged([reading("po_number", None, 0.4)], [reading("po_number", "17", 0.95)])["po_number"]
    assert (unsure.rule, unsure.chosen.value) == ("calibrated", "17")


def test_a_tie_leaves_the_fast_value():
    field = merged([reading("supplier_name", "A", 0.8)], [reading("supplier_name", "B", 0.8)])["supplier_name"]
    assert field.chosen.value == "A"


def test_the_deep_value_needs_a_margin():
    near = merged([reading("supplier_name", "A", 0.80)], [reading("supplier_name", "B", 0.81)])["supplier_name"]
    far = merged([reading("supplier_name", "A", 0.50)], [reading("supplier_name", "B", 0.95)])["supplier_name"]
    assert (near.chosen.value, far.chosen.value) == ("A", "B")


def test_two_unbelievable_readings_stay_unresolved_with_the_better_one_kept():
    field = merged([reading("supplier_name", "A", 0.05)], [reading("supplier_name", "B", 0.15)])["supplier_name"]
    assert (field.rule, field.chosen.value) == ("unresolved", "B")
    assert {c.value for c in field.candidates} == {"A", "B"}


def test_a_right_checksum_beats_a_wrong_one_of_higher_probability():
    fast, deep = reading("business_abn", "51 824 753 557", 0.9), reading("business_abn", "51 824 753 556", 0.6)
    field = merged([fast], [deep])["business_abn"]
    assert (field.chosen.value, field.rule) == ("51 824 753 556", "validator")


def test_a_value_on_the_page_beats_one_that_is_not():
    pages = page_with("ACME", "TRADING")
    field = merged(
        [reading("supplier_name", "Bogus Ltd", 0.9)], [reading("supplier_name", "Acme Trading", 0.6)], pages=pages
    )
    assert (field["supplier_name"].chosen.value, field["supplier_name"].rule) == ("Acme Trading", "grounded")
    assert field["supplier_name"].chosen.confidence > 0.5
    assert field["supplier_name"].chosen.page == 1
    assert field["supplier_name"].chosen.polygon is not None


def test_absence_beats_an_invented_value():
    pages = page_with("ACME", "TRADING")
    field = merged([reading("po_number", None, 0.4)], [reading("po_number", "PO-99181", 0.9)], pages=pages)["po_number"]
    assert (field.chosen.present, field.rule) == (False, "grounded")


def test_a_currency_read_from_a_sign_is_not_taken_for_invented():
    pages = page_with("€", "12,00")
    field = merged([reading("currency", "EUR", 0.9)], [reading("currency", None, 0.3)], pages=pages)["currency"]
    assert (field.chosen.value, field.rule) == ("EUR", "calibrated")


def test_arithmetic_decides_between_totals():
    fast = [
        reading("subtotal_amount", "100.00"),
        reading("gst_amount", "10.00"),
        reading("total_amount", "170.00", 0.9),
    ]
    deep = [reading("total_amount", "110.00", 0.4)]
    fields = merged(fast, deep)
    assert (fields["total_amount"].chosen.value, fields["total_amount"].rule) == ("110.00", "validator")
    assert fields["subtotal_amount"].rule == "only"
    assert fields["total_amount"].chosen.confidence > 0.5
    assert all(c.outcome == "pass" for c in fields["total_amount"].chosen.checks)


def test_arithmetic_reaches_an_alternative_of_a_lane():
    fast = [
        reading("subtotal_amount", "100.00"),
        reading("gst_amount", "1.00", 0.6, alternatives=[("10.00", 0.3)]),
        reading("total_amount", "170.00", 0.5),
    ]
    fields = merged(fast, [reading("total_amount", "110.00", 0.5)])
    assert (fields["gst_amount"].chosen.value, fields["total_amount"].chosen.value) == ("10.00", "110.00")
    assert "10.00" in {c.value for c in fields["gst_amount"].candidates}


def test_arithmetic_does_not_touch_what_both_lanes_agree_on():
    both = [reading("subtotal_amount", "100.00"), reading("gst_amount", "10.00", alternatives=[("70.00", 0.3)])]
    fields = merged([*both, reading("total_amount", "170.00")], [*both, reading("total_amount", "111.00")])
    assert fields["gst_amount"].chosen.value == "10.00"
    assert fields["total_amount"].rule != "validator"


def test_a_lone_reading_that_is_sure_does_not_move_for_arithmetic():
    fast = [
        reading("subtotal_amount", "100.00"),
        reading("gst_amount", "1.00", 0.95, alternatives=[("10.00", 0.04)]),
        reading("total_amount", "170.00", 0.5),
    ]
    fields = merged(fast, [reading("total_amount", "110.00", 0.5)])
    assert fields["gst_amount"].chosen.value == "1.00"
    assert fields["total_amount"].chosen.value == "170.00"


def test_a_table_without_testable_rows_is_not_preferred_to_one_that_partly_holds():
    half = [{"quantity": "2.00", "unit_price": "3.50", "total_price": t} for t in ("7.00", "1.00", "2.00")]
    field = merged([table("line_items", 0.8, *half)], [reading("line_items", None, 0.3)])["line_items"]
    assert (field.rule, len(field.chosen.rows)) == ("calibrated", 3)


def test_closing_balance_follows_from_the_movements():
    moves = table("transactions", 0.9, {"debit": "30.00", "balance": "70.00"}, {"credit": "5.00", "balance": "75.00"})
    opening = reading("opening_balance", "100.00")
    fast = [opening, moves, reading("closing_balance", "15.00", 0.9)]
    fields = merged(fast, [reading("closing_balance", "75.00", 0.5)], STATEMENT)
    assert (fields["closing_balance"].chosen.value, fields["closing_balance"].rule) == ("75.00", "validator")


def test_the_table_whose_arithmetic_holds_is_chosen():
    good = {"quantity": "2.00", "unit_price": "3.50", "total_price": "7.00"}
    bad = good | {"total_price": "1.00"}
    total = reading("total_amount", "7.00")
    field = merged([total, table("line_items", 0.9, bad)], [total, table("line_items", 0.5, good)])["line_items"]
    assert (field.rule, field.chosen.rows[0]["total_price"].value) == ("validator", "7.00")


def test_equal_tables_agree():
    row = {"quantity": "2.00", "unit_price": "3.50", "total_price": "7.00"}
    field = merged([table("line_items", 0.6, row)], [table("line_items", 0.6, row)])["line_items"]
    assert field.rule == "agree"


def test_the_signals_behind_a_choice_are_kept():
    source = Provenance(tier="deep", backend="b", model="m", signals={"blur": 0.1})
    two = reading("supplier_name", "A", 0.8, provenance=source)
    chosen = merged([reading("supplier_name", "A", 0.8)], [two])["supplier_name"].chosen
    assert chosen.provenance.signals["blur"] == 0.1
    assert chosen.provenance.signals["agree"] == 1.0


NOTE = Schema(
    name="note",
    fields=(FieldSpec(name="number", kind="identifier", required=True), FieldSpec(name="remark", kind="text")),
)


def field_of(name, value, rule="only", confidence=0.9):
    one = reading(name, value, confidence)
    return MergedField(chosen=one, candidates=(one,), rule=rule)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([field_of("number", "1"), field_of("remark", None)], ("done", ())),
        ([field_of("number", "1"), field_of("remark", "x", "unresolved")], ("done_with_gaps", ("remark",))),
        ([field_of("number", None)], ("done_with_gaps", ())),
        ([field_of("number", "1", "unresolved")], ("needs_review", ("number",))),
        ([field_of("number", "1", confidence=0.1)], ("needs_review", ("number",))),
        ([], ("needs_review", ("number",))),
    ],
)
def test_the_status_tells_what_stayed_open(fields, status):
    assert status_of({f.chosen.name: f for f in fields}, NOTE) == status


NAMES = ("supplier_name", "subtotal_amount", "gst_amount", "total_amount", "invoice_date", "business_abn")
VALUES = st.sampled_from(
    ["10.00", "1.00", "11.00", "0.00", "2016-05-16", "51 824 753 556", "51 824 753 557", "Ä b", None]
)
UNIT = st.one_of(st.none(), st.floats(0, 1))
OTHERS = st.lists(st.tuples(VALUES.filter(bool), UNIT), max_size=3)
READINGS = st.lists(st.builds(reading, st.sampled_from(NAMES), VALUES, UNIT, OTHERS), max_size=8)


@settings(max_examples=200)
@given(READINGS, READINGS)
def test_merge_never_makes_up_a_value_and_keeps_probabilities_in_range(fast, deep):
    for name, field in merged(fast, deep).items():
        read = [r for r in ({r.name: r for r in fast}.get(name), {r.name: r for r in deep}.get(name)) if r]
        offered = {v.value for r in read for v in (r, *r.alternatives)}
        assert field.chosen.value in offered
        assert field.chosen.value in {c.value for c in field.candidates}
        assert field.chosen.confidence is None or 0.0 <= field.chosen.confidence <= 1.0


@settings(max_examples=200)
@given(VALUES, VALUES, st.floats(0, 1), st.floats(0, 1))
def test_without_a_margin_or_tie_the_order_of_lanes_does_not_matter(a, b, p, q):
    for name in ("supplier_name", "business_abn"):
        one = merged([reading(name, a, p)], [reading(name, b, q)], weights=EVEN)[name]
        two = merged([reading(name, b, q)], [reading(name, a, p)], weights=EVEN)[name]
        assert one.rule == two.rule
        if abs(p - q) > 1e-3:
            assert one.chosen.value == two.chosen.value or one.rule == "agree"


@settings(max_examples=100)
@given(READINGS)
def test_merging_a_lane_with_itself_changes_no_value(readings):
    fields = merged(readings, readings)
    for name, one in {r.name: r for r in readings}.items():
        assert (fields[name].chosen.value, fields[name].rule) == (one.value, "agree")
