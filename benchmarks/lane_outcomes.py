"""What became of every keyed field: read by one lane, by both, and by the policy. Knows readings and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.lane_readings import Reading
from router.confidence import FusionWeights
from router.evaluate import values_equal
from router.merge import merge_extractions
from router.policy import Policy, Review, review
from router.types import Extraction, MergedField

VARIANTS = ("fast", "deep", "merged", "auto")
Merged = Mapping[str, MergedField]


@dataclass(frozen=True)
class Answer:
    """One variant's answer: value (None: absent), the confidence a user sees, the merge's rule, whether it is right."""

    value: str | None
    confidence: float
    rule: str
    right: bool
    failed_check: bool = False


@dataclass(frozen=True)
class Outcome:
    """One keyed field of one document. `gain`: expected by the review; `score`: the document's."""

    document: str
    source: str
    fold: int
    field: str
    want: str | None
    answers: dict[str, Answer]
    score: float
    required: bool = False
    gain: float = 0.0
    escalated: bool = False


@dataclass(frozen=True)
class Sent:
    """What the policy sent to the deep lane: of all fields but tables, not only of the keyed ones."""

    fields: int
    escalated: int
    documents: int
    escalated_documents: int


def field_outcomes(readings: Iterable[Reading], weights: Sequence[FusionWeights]) -> list[Outcome]:
    """Return the outcome of every keyed field without a policy, merged by the weights of each document's fold."""
    return [o for r in readings for o in _outcomes(r, weights[r.fold])]


def _outcomes(reading: Reading, weights: FusionWeights) -> list[Outcome]:
    schema, pages = reading.asked(), reading.document.pages
    pairs = {"fast": (reading.fast, None), "deep": (None, reading.deep), "merged": (reading.fast, reading.deep)}
    merged = {name: merge_extractions(a, b, schema, weights, pages) for name, (a, b) in pairs.items()}
    return [
        Outcome(
            document=reading.name,
            source=reading.source,
            fold=reading.fold,
            field=field,
            want=reading.key[field],
            answers={name: answer(reading, field, fields) for name, fields in merged.items()},
            score=reading.score.value,
            required=schema.field(field).required,
        )
        for field in reading.keyed()
    ]


def answer(reading: Reading, field: str, merged: Merged) -> Answer:
    chosen, spec = merged[field].chosen, reading.asked().field(field)
    value = chosen.value if chosen.present else None
    confidence = 0.0 if chosen.confidence is None else chosen.confidence
    good = values_equal(field, spec.kind, value, reading.key[field])
    return Answer(value, confidence, merged[field].rule, good, any(c.outcome == "fail" for c in chosen.checks))


def with_policies(
    readings: Sequence[Reading],
    outcomes: Sequence[Outcome],
    weights: Sequence[FusionWeights],
    policies: Sequence[Policy],
) -> tuple[list[Outcome], Sent]:
    """Return the outcomes with the variant `auto` under the policy of each document's fold, and what was sent deep."""
    by_document: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        by_document.setdefault((outcome.source, outcome.document), []).append(outcome)
    done, fields, escalated, documents = [], 0, 0, 0
    for reading in readings:
        merged, chosen, gains = _auto(reading, weights[reading.fold], policies[reading.fold])
        fields += sum(f.kind != "table" for f in reading.asked().fields)
        escalated, documents = escalated + len(chosen), documents + bool(chosen)
        for o in by_document[reading.source, reading.name]:
            answers = o.answers | {"auto": answer(reading, o.field, merged)}
            done.append(replace(o, answers=answers, gain=gains.get(o.field, 0.0), escalated=o.field in chosen))
    return done, Sent(fields, escalated, len(readings), documents)


def reviewed(reading: Reading, weights: FusionWeights, policy: Policy) -> Review:
    """Return the review of the fast result as it would stand alone, as `workers.pipeline.review_step` does."""
    alone = merge_extractions(reading.fast, None, reading.asked(), weights, reading.document.pages)
    fields = {name: merged.chosen for name, merged in alone.items()}
    return review(reading.fast.model_copy(update={"fields": fields}), reading.asked(), policy)


def _auto(reading: Reading, weights: FusionWeights, policy: Policy) -> tuple[Merged, set[str], dict[str, float]]:
    schema = reading.asked()
    tables = {f.name for f in schema.fields if f.kind == "table"}
    chosen = set(reviewed(reading, weights, policy).fields) - tables
    fields = {name: value for name, value in reading.deep.fields.items() if name in chosen}
    deep: Extraction | None = reading.deep.model_copy(update={"fields": fields}) if fields else None
    merged = merge_extractions(reading.fast, deep, schema, weights, reading.document.pages)
    expected = reviewed(reading, weights, unlimited(policy)).expected_gains
    return merged, chosen, expected


def unlimited(policy: Policy) -> Policy:
    """Return the policy with every field in doubt and no budget, so that a review tells each field's expected gain."""
    thresholds = {"default_confidence_threshold": 1.0, "absence_threshold": 1.0, "confidence_thresholds": {}}
    return policy.model_copy(update={**thresholds, "budget": 1.0})


def column(outcomes: Sequence[Outcome], get: Callable[[Outcome], float]) -> np.ndarray:
    return np.array([get(o) for o in outcomes], dtype=float)


def right(outcomes: Sequence[Outcome], variant: str) -> np.ndarray:
    return np.array([o.answers[variant].right for o in outcomes], dtype=bool)


def confidence(outcomes: Sequence[Outcome], variant: str) -> np.ndarray:
    return column(outcomes, lambda o: o.answers[variant].confidence)
