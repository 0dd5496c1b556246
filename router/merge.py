"""Merges what the two lanes read, field by field, by named rules. Pure: knows no model, file, clock or route.

    only        one lane made a claim
    agree       both say the same; the probability rises
    validator   a checksum, a format or the arithmetic of several fields decides
    grounded    one value stands on the page, the other does not
    calibrated  the more probable reading; the deep one must lead by a margin, so that right fields are not made wrong
    unresolved  neither is believable, or neither made a claim; the better one is kept for a person to look at

Absence is a claim like any other: "the document has no such field" competes with a value by its probability. Silence is
none: a lane that gave no answer agrees with nobody, and loses against any claim of the other one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from router.choice import Choice, Judge, same_reading, unreadable
from router.confidence import FusionWeights, default_weights, fuse, reading_signals
from router.schema import FieldSpec, Schema
from router.settle import settle_balances, settle_tables, settle_totals
from router.types import Check, Extraction, FieldValue, MergedField, MergeRule, Page, Status, is_silent
from router.validators import ROWS_COMPLETE, field_checks, validate

__all__ = ["merge_extractions", "same_reading", "status_of"]


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
    judge = Judge(weights or default_weights(), pages, today)
    choices: dict[str, Choice] = {}
    for spec in schema.fields:
        readings = [e.fields.get(spec.name) if e else None for e in (fast, deep)]
        claims = [None if r is None or is_silent(r) else r for r in readings]
        if choice := _decide(spec, claims[0], claims[1], judge) or _unanswered(spec, readings[0], readings[1]):
            choices[spec.name] = choice
    settle_totals(choices, schema, judge)
    settle_tables(choices, judge)
    settle_balances(choices, judge)
    checks = validate({name: c.chosen for name, c in choices.items()}, schema, today)
    said = {name: [e.fields[name] for e in (fast, deep) if e and name in e.fields] for name in choices}
    return {name: _finish(c, said[name], (*c.chosen.checks, *checks[name]), judge) for name, c in choices.items()}


def status_of(
    merged: Mapping[str, MergedField], schema: Schema, floor: float | None = None
) -> tuple[Status, tuple[str, ...]]:
    """Return the document's status and the names of the fields that stay open.

    needs_review: a required field is unresolved, missing, unreadable or below `floor`, or rows of a table are known to
    be missing; done_with_gaps: an optional field is unresolved (so is one that no lane answered), or a required one is
    claimed to be absent; else done.
    """
    limit = default_weights().floor if floor is None else floor
    open_required, open_optional, gaps = [], [], False
    for spec in schema.fields:
        field = merged.get(spec.name)
        cut = field is not None and _lacks_rows(field)
        if field is None or cut or _is_open(field, limit):
            if spec.required or cut:
                open_required.append(spec.name)
            elif field is not None and field.rule == "unresolved":
                open_optional.append(spec.name)
        elif spec.required and not field.chosen.present:
            gaps = True
    names = tuple(n for n in schema.names() if n in (*open_required, *open_optional))
    if open_required:
        return "needs_review", names
    return ("done_with_gaps" if open_optional or gaps else "done"), names


def _lacks_rows(field: MergedField) -> bool:
    return any(check.name == ROWS_COMPLETE and check.outcome == "fail" for check in field.chosen.checks)


def _is_open(field: MergedField, floor: float) -> bool:
    chosen = field.chosen
    doubtful = chosen.confidence is not None and chosen.confidence < floor
    return field.rule == "unresolved" or unreadable(chosen) or doubtful


def _decide(spec: FieldSpec, fast: FieldValue | None, deep: FieldValue | None, judge: Judge) -> Choice | None:
    if fast is None or deep is None:
        lone = fast or deep
        if lone is None:
            return None
        return Choice(spec, fast, deep, lone, fast is None, "unresolved" if unreadable(lone) else "only")
    choice = Choice(spec, fast, deep, deep, True, "agree")
    if same_reading(spec, fast, deep):
        return choice
    checks = [(*r.checks, *field_checks(r, spec, judge.today)) for r in (fast, deep)]
    verdicts = [_verdict(c) for c in checks]
    scores = [judge.locate(r, spec)[0] for r in (fast, deep)]
    standing = [_standing(r, s, judge.weights) for r, s in zip((fast, deep), scores, strict=True)]
    only_one_stands = set(standing) == {True, False}
    if set(verdicts) == {1, -1} and not (only_one_stands and judge.weights.grounding_first):
        return choice.pick(*((fast, False) if verdicts[0] > 0 else (deep, True)), "validator")
    if only_one_stands:
        return choice.pick(*((fast, False) if standing[0] else (deep, True)), "grounded")
    return _more_probable(
        choice,
        judge.probability(choice, fast, False, checks[0], scores[0]),
        judge.probability(choice, deep, True, checks[1], scores[1]),
        judge.weights,
    )


def _unanswered(spec: FieldSpec, fast: FieldValue | None, deep: FieldValue | None) -> Choice | None:
    """Return the choice where no lane made a claim; nothing in it competes, so neither reading is given to it."""
    silent = deep or fast
    return Choice(spec, None, None, silent, deep is not None, "unresolved") if silent else None


def _verdict(checks: Sequence[Check]) -> int:
    outcomes = {c.outcome for c in checks}
    return -1 if "fail" in outcomes else int("pass" in outcomes)


def _standing(reading: FieldValue, score: float | None, weights: FusionWeights) -> bool | None:
    """Return None where grounding says nothing."""
    if not reading.present:
        return True
    if score is None or 0.0 < score < weights.grounded_from:
        return None
    return score > 0.0


def _more_probable(choice: Choice, p_fast: float, p_deep: float, weights: FusionWeights) -> Choice:
    from_deep = p_deep > p_fast + weights.deep_margin
    reading = choice.deep if from_deep else choice.fast
    rule: MergeRule = "unresolved" if max(p_fast, p_deep) < weights.floor else "calibrated"
    return choice.pick(reading or choice.chosen, from_deep, rule)


def _finish(choice: Choice, readings: Sequence[FieldValue], checks: tuple[Check, ...], judge: Judge) -> MergedField:
    chosen, other = choice.chosen, choice.other()
    score, place = judge.locate(chosen, choice.spec)
    agree = other is not None and same_reading(choice.spec, chosen, other)
    required = choice.spec.required
    signals = reading_signals(chosen, other, agree, checks, score, choice.rule, required)
    known = chosen.confidence is not None or other is not None
    probability = 0.0 if unreadable(chosen) else fuse(signals, judge.weights)
    update: dict[str, object] = {"confidence": probability if known else None, "checks": checks, "alternatives": ()}
    if place is not None:
        update |= {"page": place.page, "polygon": place.polygon}
    elif agree and other is not None and chosen.polygon is None:
        update |= {"page": other.page, "polygon": other.polygon}
    if chosen.provenance is not None:
        seen = chosen.provenance.signals | {k: v for k, v in signals.items() if v is not None}
        update["provenance"] = chosen.provenance.model_copy(update={"signals": seen})
    candidates = (*readings, *([] if chosen in readings else [chosen]))
    return MergedField(chosen=chosen.model_copy(update=update), candidates=candidates, rule=choice.rule)
