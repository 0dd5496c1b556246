"""Merges what the two lanes read, field by field, by named rules. Pure: knows no model, file, clock or route.

    only        one lane read the field
    agree       both say the same; the probability rises
    validator   a checksum, a format or the arithmetic of several fields decides
    grounded    one value stands on the page, the other does not
    calibrated  the more probable reading; the deep one must lead by a margin, so that right fields are not made wrong
    unresolved  neither is believable; the better one is kept for a person to look at

Absence is a claim like any other: "the document has no such field" competes with a value by its probability.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router.arithmetic import equal, total_holds
from router.combine import Option, Relation, best_combination, options_of
from router.confidence import FusionWeights, default_weights, fuse, reading_signals
from router.evaluate import values_equal
from router.grounding import Grounding, ground
from router.schema import FieldSpec, Schema
from router.types import Cell, Check, Extraction, FieldValue, MergedField, MergeRule, Page, Status
from router.validators import field_checks, movement_sum, table_checks, total_roles, validate

_GROUNDED_FROM = 0.8
_MAX_PAGES_SEARCHED = 20
_BALANCES = ("opening_balance", "closing_balance")


@dataclass(frozen=True)
class _Choice:
    spec: FieldSpec
    fast: FieldValue | None
    deep: FieldValue | None
    chosen: FieldValue
    from_deep: bool
    rule: MergeRule

    def other(self) -> FieldValue | None:
        return self.fast if self.from_deep else self.deep

    def pick(self, reading: FieldValue, from_deep: bool, rule: MergeRule) -> _Choice:
        return _Choice(self.spec, self.fast, self.deep, reading, from_deep, rule)


@dataclass(frozen=True)
class _Judge:
    """What a decision may look at beside the two readings."""

    weights: FusionWeights
    pages: Sequence[Page]
    today: dt.date | None

    def locate(self, reading: FieldValue, spec: FieldSpec) -> tuple[float | None, Grounding | None]:
        """Return (score, place): the score is None where there is nothing to look for or no words to look in."""
        if not reading.present or spec.kind in ("boolean", "enum", "table") or not (reading.raw or reading.value):
            return None, None
        if reading.polygon is not None:
            return 1.0, None
        pages = [p for p in self.pages if p.words and reading.page in (None, p.number)][:_MAX_PAGES_SEARCHED]
        if not pages:
            return None, None
        texts = [t for t in (reading.raw, reading.value) if t]
        found = [g for p in pages for t in texts if (g := ground(t, p.words, p.number, spec.kind)) is not None]
        best = max(found, key=lambda g: g.score, default=None)
        return (best.score, best) if best else (0.0, None)

    def probability(
        self, choice: _Choice, reading: FieldValue, from_deep: bool, checks: Sequence[Check], score: float | None
    ) -> float:
        """Return the fused probability of one reading of a field."""
        other = choice.fast if from_deep else choice.deep
        agree = other is not None and same_reading(choice.spec, reading, other)
        if reading.present and reading.value is None and reading.rows is None:
            return 0.0
        return fuse(reading_signals(reading, other, agree, checks, score, from_deep), self.weights)


def merge_extractions(
    fast: Extraction | None,
    deep: Extraction | None,
    schema: Schema,
    weights: FusionWeights | None = None,
    pages: Sequence[Page] = (),
    today: dt.date | None = None,
) -> dict[str, MergedField]:
    """Return one merged field for every field of the schema that a lane was asked for, both readings kept.

    `pages` with words allow grounding; `today` allows dates far in the future to be doubted. No value is made up: the
    chosen one is a lane's answer or one of its alternatives.
    """
    judge = _Judge(weights or default_weights(), pages, today)
    choices: dict[str, _Choice] = {}
    for spec in schema.fields:
        readings = [e.fields.get(spec.name) if e else None for e in (fast, deep)]
        if choice := _decide(spec, readings[0], readings[1], judge):
            choices[spec.name] = choice
    _settle_totals(choices, schema, judge)
    _settle_tables(choices, judge)
    _settle_balances(choices, judge)
    checks = validate({name: c.chosen for name, c in choices.items()}, schema, today)
    return {name: _finish(c, checks[name], judge) for name, c in choices.items()}


def status_of(
    merged: Mapping[str, MergedField], schema: Schema, floor: float | None = None
) -> tuple[Status, tuple[str, ...]]:
    """Return the document's status and the names of the fields that stay open.

    needs_review: a required field is unresolved, missing, unreadable or below `floor`; done_with_gaps: an optional
    field is unresolved, or a required one is claimed to be absent; else done.
    """
    limit = default_weights().floor if floor is None else floor
    open_required, open_optional, gaps = [], [], False
    for spec in schema.fields:
        field = merged.get(spec.name)
        if field is None or _is_open(field, limit):
            if spec.required:
                open_required.append(spec.name)
            elif field is not None and field.rule == "unresolved":
                open_optional.append(spec.name)
        elif spec.required and not field.chosen.present:
            gaps = True
    names = tuple(n for n in schema.names() if n in (*open_required, *open_optional))
    if open_required:
        return "needs_review", names
    return ("done_with_gaps" if open_optional or gaps else "done"), names


def same_reading(spec: FieldSpec, a: FieldValue, b: FieldValue) -> bool:
    """Return whether two readings of a field make the same claim: both absent, or equal values of its kind."""
    if not (a.present and b.present):
        return a.present == b.present
    if spec.kind == "table":
        return _same_rows(spec, a.rows or (), b.rows or ())
    return values_equal(spec.name, spec.kind, a.value, b.value)


def _same_rows(spec: FieldSpec, a: Sequence[Mapping[str, Cell]], b: Sequence[Mapping[str, Cell]]) -> bool:
    def value(row: Mapping[str, Cell], name: str) -> str | None:
        return row[name].value if name in row else None

    return len(a) == len(b) and all(
        values_equal(c.name, c.kind, value(x, c.name), value(y, c.name))
        for x, y in zip(a, b, strict=True)
        for c in spec.columns
    )


def _is_open(field: MergedField, floor: float) -> bool:
    chosen = field.chosen
    unreadable = chosen.present and chosen.value is None and not chosen.rows
    doubtful = chosen.confidence is not None and chosen.confidence < floor
    return field.rule == "unresolved" or unreadable or doubtful


def _decide(spec: FieldSpec, fast: FieldValue | None, deep: FieldValue | None, judge: _Judge) -> _Choice | None:
    if fast is None or deep is None:
        lone = fast or deep
        return _Choice(spec, fast, deep, lone, fast is None, "only") if lone else None
    choice = _Choice(spec, fast, deep, fast, False, "agree")
    if same_reading(spec, fast, deep):
        return choice
    checks = [field_checks(r, spec, judge.today) for r in (fast, deep)]
    verdicts = [_verdict(c) for c in checks]
    if set(verdicts) == {1, -1}:
        return choice.pick(*((fast, False) if verdicts[0] > 0 else (deep, True)), "validator")
    scores = [judge.locate(r, spec)[0] for r in (fast, deep)]
    standing = [_standing(r, s) for r, s in zip((fast, deep), scores, strict=True)]
    if set(standing) == {True, False}:
        return choice.pick(*((fast, False) if standing[0] else (deep, True)), "grounded")
    return _more_probable(
        choice,
        judge.probability(choice, fast, False, checks[0], scores[0]),
        judge.probability(choice, deep, True, checks[1], scores[1]),
        judge.weights,
    )


def _verdict(checks: Sequence[Check]) -> int:
    outcomes = {c.outcome for c in checks}
    return -1 if "fail" in outcomes else int("pass" in outcomes)


def _standing(reading: FieldValue, score: float | None) -> bool | None:
    """Return None where grounding says nothing."""
    if not reading.present:
        return True
    if score is None or 0.0 < score < _GROUNDED_FROM:
        return None
    return score > 0.0


def _more_probable(choice: _Choice, p_fast: float, p_deep: float, weights: FusionWeights) -> _Choice:
    from_deep = p_deep > p_fast + weights.deep_margin
    reading = choice.deep if from_deep else choice.fast
    rule: MergeRule = "unresolved" if max(p_fast, p_deep) < weights.floor else "calibrated"
    return choice.pick(reading or choice.chosen, from_deep, rule)


def _settle_totals(choices: dict[str, _Choice], schema: Schema, judge: _Judge) -> None:
    if roles := total_roles(schema):
        _settle(choices, roles, lambda n: total_holds(n[0], n[1], n[2]), judge)


def _settle_balances(choices: dict[str, _Choice], judge: _Judge) -> None:
    tables = [c.chosen.rows for c in choices.values() if c.spec.kind == "table" and c.chosen.rows]
    movements = [m for rows in tables if (m := movement_sum(rows)) is not None]
    if movements:
        _settle(choices, _BALANCES, lambda n: equal(n[0] + movements[0], n[1]), judge)


def _settle(choices: dict[str, _Choice], names: Sequence[str], holds: Relation, judge: _Judge) -> None:
    tied = {n: choices[n] for n in names if n in choices}
    if len(tied) < len(names) or not any(_in_doubt(c) for c in tied.values()):
        return
    options = {n: _options(c, judge) for n, c in tied.items()}
    found = best_combination(options, {n: c.chosen for n, c in tied.items()}, holds)
    for name, option in (found or {}).items():
        if _in_doubt(tied[name]) or option.reading.value != tied[name].chosen.value:
            choices[name] = tied[name].pick(option.reading, option.from_deep, "validator")


def _in_doubt(choice: _Choice) -> bool:
    return choice.rule not in ("only", "agree")


def _options(choice: _Choice, judge: _Judge) -> list[Option]:
    sides = [(choice.fast, False), (choice.deep, True)]
    if choice.rule == "agree":
        return [o for o in options_of(choice.chosen, 1.0, False) if o.main]
    options: list[Option] = []
    for reading, from_deep in sides:
        if reading is not None:
            score = judge.locate(reading, choice.spec)[0]
            checks = field_checks(reading, choice.spec, judge.today)
            options += options_of(reading, judge.probability(choice, reading, from_deep, checks, score), from_deep)
    return options


def _settle_tables(choices: dict[str, _Choice], judge: _Judge) -> None:
    fields = {name: c.chosen for name, c in choices.items()}
    for name, choice in choices.items():
        if choice.spec.kind == "table" and choice.fast and choice.deep and choice.rule != "agree":
            shares = [_holding_share(choice.spec, r, fields) for r in (choice.fast, choice.deep)]
            if shares[0] != shares[1]:
                better = choice.deep if shares[1] > shares[0] else choice.fast
                choices[name] = choice.pick(better, shares[1] > shares[0], "validator")


def _holding_share(spec: FieldSpec, table: FieldValue, fields: Mapping[str, FieldValue]) -> float:
    """Mean share of the table's relations that hold; one half where nothing can be tested, as that proves nothing."""
    tested = [holds / n for holds, n, _ in table_checks(spec, table.rows or (), fields) if n]
    return sum(tested) / len(tested) if tested else 0.5


def _finish(choice: _Choice, checks: tuple[Check, ...], judge: _Judge) -> MergedField:
    chosen, other = choice.chosen, choice.other()
    score, place = judge.locate(chosen, choice.spec)
    agree = other is not None and same_reading(choice.spec, chosen, other)
    signals = reading_signals(chosen, other, agree, checks, score, choice.from_deep)
    known = chosen.confidence is not None or other is not None
    update: dict[str, object] = {
        "confidence": judge.probability(choice, chosen, choice.from_deep, checks, score) if known else None,
        "checks": checks,
        "alternatives": (),
    }
    if place is not None:
        update |= {"page": place.page, "polygon": place.polygon}
    elif agree and other is not None and chosen.polygon is None:
        update |= {"page": other.page, "polygon": other.polygon}
    if chosen.provenance is not None:
        seen = chosen.provenance.signals | {k: v for k, v in signals.items() if v is not None}
        update["provenance"] = chosen.provenance.model_copy(update={"signals": seen})
    readings = [r for r in (choice.fast, choice.deep) if r is not None]
    candidates = (*readings, *([] if chosen in readings else [chosen]))
    return MergedField(chosen=chosen.model_copy(update=update), candidates=candidates, rule=choice.rule)
