"""Signals of one reading -> the probability that it is right. Knows signals and weights, no lane, model or page.

The weights are data (`router/data/confidence_v1.json`) and carry their version; `router.calibrate.fit_fusion` fits new
ones. A signal that is None is missing and adds its feature's `missing` weight instead.

    p_own          the reading's own probability, from its lane
    p_same         the other lane's probability, where it says the same
    p_against      the other lane's probability, where it says something else
    agree          1 when the other lane says the same
    disagree       1 when the other lane says something else
    similarity     normalised Levenshtein similarity to what the other lane says instead
    ungrounded     1 - grounding score; 1 when the value is nowhere on the pages
    checks_passed  number of validators passed, at most 2
    checks_failed  number of validators failed, at most 2
    absent         1 when the reading claims that the field is absent
    missing        1 when it claims so of a required field
    by_validator   1 when a checksum or arithmetic chose this reading against the other
    by_grounding   1 when it was chosen because the other is not on the page
    min_logprob    smallest log-probability among the value's own tokens
    max_entropy    largest entropy (nats) where one of them was chosen
    min_margin     smallest difference between the two largest log-probabilities there
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import Field, ValidationError

from router.errors import SettingsError
from router.evaluate import levenshtein
from router.types import Check, FieldValue, Frozen, MergeRule, Unit

Signals = Mapping[str, float | None]
_LOGIT_LIMIT = 7.0
_MAX_COMPARED_CHARS = 200
_MAX_CHECKS = 2
_NOT_COUNTED = frozenset({"gst_rate"})
"""Checks younger than the weights: counted, they would move confidences that were fitted without them."""


class Feature(Frozen):
    """How one signal enters the logit."""

    transform: Literal["identity", "logit"]
    weight: float
    missing: float = 0.0


class FusionWeights(Frozen):
    """Weights of the logistic fusion, and the constants of the merge.

    `ceilings`: a probability is multiplied by these where a signal is 1 or more, so that no certainty of a lane gets
    over them and the order of the readings stays. `floor`: below it no reading is believed. `deep_margin`: by how much
    the deep reading must be more probable to replace a different fast one; under 0 where the deep lane knows all that
    the fast one does and more. `grounded_from`: the grounding score from which a value stands on the page.
    `grounding_first`: a value that is nowhere on the page never beats one that is, whatever checks or sums say.
    """

    version: str
    origin: str = ""
    intercept: float
    features: dict[str, Feature]
    ceilings: dict[str, Unit] = Field(default_factory=dict)
    floor: Unit = 0.3
    deep_margin: float = Field(default=0.05, ge=-1.0, le=1.0)
    grounded_from: Unit = 0.8
    grounding_first: bool = False


@cache
def default_weights() -> FusionWeights:
    """Return the weights shipped with the package."""
    return parse_weights((files("router.data") / "confidence_v1.json").read_bytes())


def parse_weights(data: bytes) -> FusionWeights:
    """Return fusion weights from JSON bytes; raise `SettingsError` where they are malformed."""
    try:
        return FusionWeights.model_validate(json.loads(data))
    except (ValidationError, ValueError) as exc:
        raise SettingsError(f"confidence weights are malformed: {exc}") from exc


def fuse(signals: Signals, weights: FusionWeights) -> float:
    """Return the probability in [0,1] that a reading with these signals is right (logistic fusion, then ceilings)."""
    probability = sigmoid(weights.intercept + sum(contributions(signals, weights).values()))
    for name, ceiling in weights.ceilings.items():
        if (signals.get(name) or 0.0) >= 1.0:
            probability *= ceiling
    return probability


def contributions(signals: Signals, weights: FusionWeights) -> dict[str, float]:
    """Return each feature's signed share of the logit."""
    shares = {}
    for name, feature in weights.features.items():
        value = signals.get(name)
        shares[name] = feature.missing if value is None else feature.weight * transformed(value, feature)
    return shares


def transformed(value: float, feature: Feature) -> float:
    """Return a signal as it enters the logit."""
    return logit(value) if feature.transform == "logit" else value


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def logit(p: float) -> float:
    """Return log(p / (1 - p)), limited to +-7 so that no single certainty outweighs all other signals."""
    if p <= 0.0 or p >= 1.0:
        return math.copysign(_LOGIT_LIMIT, p - 0.5)
    return max(-_LOGIT_LIMIT, min(_LOGIT_LIMIT, math.log(p / (1.0 - p))))


def reading_signals(
    reading: FieldValue,
    other: FieldValue | None,
    agree: bool,
    checks: Sequence[Check] = (),
    grounding_score: float | None = None,
    rule: MergeRule | None = None,
    required: bool = False,
) -> dict[str, float | None]:
    """Return the signals of one reading beside the other lane's reading, if there is one.

    `grounding_score` None: not looked for, because the pages carry no words. `rule` None: nothing is chosen yet.
    """
    differs = other is not None and not agree
    counted = [c for c in checks if c.name not in _NOT_COUNTED]
    own_signals = reading.provenance.signals if reading.provenance else {}
    return {
        "p_own": reading.confidence,
        "p_same": other.confidence if other is not None and agree else None,
        "p_against": other.confidence if other is not None and differs else None,
        "agree": float(other is not None and agree),
        "disagree": float(differs),
        "similarity": similarity(reading.value, other.value) if other is not None and differs else None,
        "ungrounded": None if grounding_score is None else 1.0 - grounding_score,
        "checks_passed": float(min(sum(c.outcome == "pass" for c in counted), _MAX_CHECKS)),
        "checks_failed": float(min(sum(c.outcome == "fail" for c in counted), _MAX_CHECKS)),
        "absent": float(not reading.present),
        "missing": float(required and not reading.present),
        "by_validator": float(rule == "validator"),
        "by_grounding": float(rule == "grounded"),
        **{name: own_signals.get(name) for name in ("min_logprob", "max_entropy", "min_margin")},
    }


def similarity(a: str | None, b: str | None) -> float:
    """Return 1 - Levenshtein distance / longer length, over the first 200 characters; 0 where one is absent."""
    if not a or not b:
        return 0.0
    a, b = a[:_MAX_COMPARED_CHARS], b[:_MAX_COMPARED_CHARS]
    return 1.0 - levenshtein(a, b) / max(len(a), len(b))


def table_probability(cells: Sequence[Sequence[float]]) -> float | None:
    """Return the probability in [0,1] of a table from those of its cells, row by row; None where there is no cell.

    It is the mean over the rows of each row's least sure cell. A row is right when all of its cells are, and is taken
    to be as sure as the least sure of them, because errors in one row seldom come alone. The rows are averaged: what is
    said is how probable a row of this table is right. A product or a minimum over rows would call every long table
    doubtful, for among a hundred sure rows there is one that is less sure; the mean of a table and of the same rows
    twice is one and the same.
    """
    rows = [min(row) for row in cells if row]
    return math.fsum(rows) / len(rows) if rows else None


def token_signals(
    logprobs: Sequence[float], entropies: Sequence[float] = (), margins: Sequence[float] = (), lowest: int = 3
) -> dict[str, float]:
    """Return what the tokens of a VALUE say about it: the least sure ones, whatever is not given left out.

    `min_logprob` and `mean_lowest_logprob` (of the `lowest` least probable), `max_entropy` and `mean_highest_entropy`,
    `min_margin`. Sums and plain means are left out because they depend on the value's length. Empty for no tokens.
    """
    signals: dict[str, float] = {}
    if logprobs:
        weakest = sorted(logprobs)[:lowest]
        signals |= {"min_logprob": weakest[0], "mean_lowest_logprob": sum(weakest) / len(weakest)}
    if entropies:
        wildest = sorted(entropies)[-lowest:]
        signals |= {"max_entropy": wildest[-1], "mean_highest_entropy": sum(wildest) / len(wildest)}
    if margins:
        signals["min_margin"] = min(margins)
    return signals
