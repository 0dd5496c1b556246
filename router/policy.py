"""What follows from scores and confidences: which lane reads first, and which fields are read again by the deep one.

Thresholds, gains and the budget are data with a version (`router/data/policy_v1.json`). Must not know models, pixels or
queues, and keeps no state: the same input gives the same decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError, field_validator

from router.errors import SettingsError
from router.reasons import describe
from router.schema import FieldSpec, Schema
from router.types import ComplexityScore, Extraction, FieldValue, Frozen, Route, Tier, Unit, is_silent

POLICY_FILE = "policy_v1.json"


class Risks(Frozen):
    """The probability that a field is wrong, given what happened to it, until measured as confidence.

    `ungrounded`: its value stands nowhere on pages whose words are known; 0 where that is no reason by itself. Where
    nothing was measured a risk of 1 puts a field in front of all others, whatever the budget.
    """

    unknown_confidence: Unit = 0.5
    failed_check: Unit = 0.6
    ungrounded: Unit = 0.0
    required_absent: Unit = 0.7
    not_read: Unit = 1.0
    cut_off: Unit = 0.9


class Policy(Frozen):
    """Thresholds of routing and review.

    `threshold`: a document is never sent straight to the deep lane under this score. `confidence_thresholds`: a field
    at or over its own (else `default_confidence_threshold`; `absence_threshold` where it is claimed absent) is sure
    enough. `field_gains`: the share of a field's errors that escalation repairs, 1 where not named, 0 keeps one from
    being escalated. `budget`: the share of all fields that may go deep, held through `gain_by_share`, pairs (share
    of a representative traffic's fields, expected gain that this share exceeds), share rising. `added_fields` are
    younger than this table: without doubt they are not counted as traffic, or the budget would grow with the schema.
    """

    version: str
    threshold: Unit = 0.5
    default_confidence_threshold: Unit = 0.8
    absence_threshold: Unit = 0.5
    confidence_thresholds: dict[str, Unit] = Field(default_factory=dict)
    field_gains: dict[str, Unit] = Field(default_factory=dict)
    risks: Risks = Risks()
    budget: Unit = 0.1
    gain_by_share: tuple[tuple[Unit, Unit], ...] = ()
    added_fields: tuple[str, ...] = ()

    @field_validator("gain_by_share")
    @classmethod
    def _rising(cls, pairs: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        shares, gains = [share for share, _ in pairs], [gain for _, gain in pairs]
        if shares != sorted(shares) or gains != sorted(gains, reverse=True):
            raise ValueError("shares must rise and gains must fall")
        return pairs

    def least_gain(self) -> float:
        """Return the expected gain from which a field goes deep under the budget; 0 while no traffic was measured."""
        if self.budget <= 0:
            return float("inf")
        if not self.gain_by_share or self.budget >= 1:
            return 0.0
        shares, gains = zip(*self.gain_by_share, strict=True)
        return float(np.interp(self.budget, shares, gains))

    def gain(self, field: str) -> float:
        """Return how much of a field's errors escalation repairs, in [0,1]."""
        return self.field_gains.get(field, 1.0)

    def traffic(self, names: Sequence[str], gains: Mapping[str, float]) -> list[float]:
        """Return what a document adds to the traffic: each field's expected gain, 0 without doubt."""
        return [gains.get(name, 0.0) for name in names if name in gains or name not in self.added_fields]


class Review(Frozen):
    """The fields to read again, largest expected gain first, with the reason and the expected gain of each."""

    fields: tuple[str, ...] = ()
    reasons: dict[str, str] = Field(default_factory=dict)
    expected_gains: dict[str, float] = Field(default_factory=dict)


def load_policy(path: Path | None = None) -> Policy:
    """Return the policy of a JSON file, or the one that ships; raise `SettingsError`."""
    if path is None:
        return _shipped()
    try:
        return parse_policy(path.read_bytes(), str(path))
    except OSError as exc:
        raise SettingsError(f"{path}: cannot read policy: {exc.strerror}") from exc


def parse_policy(data: bytes | str, filename: str) -> Policy:
    """Return the policy in JSON text; raise `SettingsError` naming the file and the first fault."""
    try:
        return Policy.model_validate_json(data)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "policy"
        raise SettingsError(f"{filename}: {where}: {first['msg']}") from exc


@cache
def _shipped() -> Policy:
    return parse_policy((files("router.data") / POLICY_FILE).read_bytes(), POLICY_FILE)


def route(
    score: ComplexityScore, policy: Policy, cost_fast: float, cost_deep: float, p_escalate: float | None = None
) -> Route:
    """Return the lane that reads a document first.

    Straight to the deep lane only where P(escalated anyway) > 1 - cost_fast / cost_deep, the point at which the fast
    reading costs more than it saves, and never under the policy's threshold, because a fast reading is also a second
    vote. The score's value stands for P when `p_escalate` is None. Costs are in any common unit; raises `SettingsError`
    unless positive.
    """
    if cost_fast <= 0 or cost_deep <= 0:
        raise SettingsError(f"costs of the lanes must be positive, not {cost_fast} and {cost_deep}")
    probability = score.value if p_escalate is None else p_escalate
    threshold = max(policy.threshold, 1.0 - cost_fast / cost_deep)
    deep = probability > threshold
    tier: Tier = "deep" if deep else "fast"
    return Route(tier=tier, score=score.value, threshold=threshold, reason=_reason(score, deep, probability, threshold))


def review(extraction: Extraction, schema: Schema, policy: Policy) -> Review:
    """Return the fields of an extraction that the deep lane should read again, each with its reason."""
    least = policy.least_gain()
    doubts = {spec.name: doubt for spec in schema.fields if (doubt := _doubt(extraction, spec, policy)) is not None}
    gains = {name: risk * policy.gain(name) for name, (risk, _) in doubts.items()}
    chosen = sorted((name for name, gain in gains.items() if gain > 0 and gain >= least), key=lambda n: -gains[n])
    return Review(
        fields=tuple(chosen),
        reasons={name: doubts[name][1] for name in chosen},
        expected_gains={name: gains[name] for name in chosen},
    )


def quantile_threshold(confidences: Sequence[float], budget: float) -> float:
    """Return the largest confidence threshold under which at most the share `budget` of the given traffic falls.

    `confidences` are in [0,1]; the result is one of them, 0 for no traffic or no budget and 1 where all of it may go
    deep.
    """
    if not 0 <= budget <= 1:
        raise SettingsError(f"budget must lie in [0,1], not {budget}")
    ordered = np.sort(np.asarray(confidences, dtype=np.float64))
    allowed = int(np.floor(budget * ordered.size + 1e-9))
    if not ordered.size or allowed == 0:
        return 0.0
    return 1.0 if allowed >= ordered.size else float(ordered[allowed])


def gain_by_share(gains: Sequence[float], shares: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Return the pairs of `Policy.gain_by_share` from the gains of all fields of a traffic (0 without doubt)."""
    return tuple((share, 1.0 - quantile_threshold([1.0 - gain for gain in gains], share)) for share in sorted(shares))


def _reason(score: ComplexityScore, deep: bool, probability: float, threshold: float) -> str:
    limit = f"{'over' if deep else 'not over'} {threshold:.0%}"
    chance = f"{probability:.0%} chance that the fast lane gets a field wrong, {limit}"
    if harder := describe(score):
        return f"{chance}: {harder}"
    easier = describe(score, harder=False)
    return f"{chance}: {easier or 'nothing unusual about the page'}"


def _doubt(extraction: Extraction, spec: FieldSpec, policy: Policy) -> tuple[float, str] | None:
    """Return the risk that a field is wrong and the reason to think so, None where it is sure enough."""
    value, risks = extraction.fields.get(spec.name), policy.risks
    if value is None:  # a lane that narrowed `auto` leaves out what its schema does not have
        return (risks.not_read, "the field was not read") if spec.required else None
    if is_silent(value):
        return risks.not_read, "the lane gave no answer"
    doubts = [_low_confidence(value, policy)]
    if risks.ungrounded > 0 and _is_nowhere(value):
        doubts.append((risks.ungrounded, "the value stands nowhere on the page"))
    if extraction.finish_reason != "stop":
        doubts.append((risks.cut_off, f"the reading ended early ({extraction.finish_reason})"))
    if spec.required and not value.present:
        doubts.append((risks.required_absent, "a required field was not found"))
    doubts += [
        (risks.failed_check, check.detail or f"fails the check {check.name}")
        for check in value.checks
        if check.outcome == "fail"
    ]
    found = [doubt for doubt in doubts if doubt is not None]
    found.sort(key=lambda doubt: -doubt[0])
    return (found[0][0], "; ".join(reason for _, reason in found)) if found else None


def _is_nowhere(value: FieldValue) -> bool:
    return value.present and value.provenance is not None and value.provenance.signals.get("ungrounded") == 1.0


def _low_confidence(value: FieldValue, policy: Policy) -> tuple[float, str] | None:
    if value.confidence is None:
        return policy.risks.unknown_confidence, "confidence unknown"
    threshold = policy.confidence_thresholds.get(value.name, policy.default_confidence_threshold)
    if not value.present:
        threshold = min(threshold, policy.absence_threshold)
    if value.confidence >= threshold:
        return None
    kind = "confidence" if value.present else "confidence that it is absent"
    return 1.0 - value.confidence, f"{kind} {value.confidence:.2f} under {threshold:.2f}"
