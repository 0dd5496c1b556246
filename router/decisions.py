"""What is decided with for one pair of lanes: how sure a reading is, which one wins, which fields are read again.

Weights, margins and thresholds hold for the lanes they were fitted on and for no others. This module is the only place
that says which pair has decisions of its own; every other pair gets neutral ones, set by hand, whose confidence is told
as not calibrated. It must not know lanes or settings, only their names, and keeps no state.

A file of decisions is JSON: `version`, `calibrated`, `lanes` ([fast, deep], null for any), `origin`, and `weights` and
`policy`, each an object or the name of a file beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from router.confidence import FusionWeights
from router.errors import SettingsError
from router.policy import Policy
from router.types import Extraction, Frozen, Tier

_FITTED_FILES = ("decisions_ocr_v1.json",)
_NEUTRAL_FILE = "decisions_uncalibrated_v1.json"
_PARTS = ("weights", "policy")


class Decisions(Frozen):
    """Decisions for a pair of lanes.

    `calibrated`: whether a confidence was fitted to how often such a field is right. `lanes`: names of the fast and
    the deep backend it was fitted on, None for any pair. `weights`: fusion weights and constants of the merge.
    `policy`: thresholds and risks of the review; its budget is the user's and may be set apart.
    """

    version: str = Field(min_length=1)
    calibrated: bool = False
    lanes: tuple[str, str] | None = None
    origin: str = ""
    weights: FusionWeights
    policy: Policy

    def is_for(self, fast: str, deep: str) -> bool:
        """Return whether these decisions hold for a pair of backends."""
        return self.lanes is None or self.lanes == (fast, deep)

    def vouches_for(self, *readings: Extraction | None) -> bool:
        """Return whether confidences of a result from these readings are calibrated.

        A worker may read with another backend than the settings name, so what counts is who said it.
        """
        return self.calibrated and all(self._knows(e.tier, _backends(e)) for e in readings if e is not None)

    def with_policy(self, policy: Policy) -> Decisions:
        """Return the same decisions under another policy."""
        return self.model_copy(update={"policy": policy})

    def with_budget(self, budget: float) -> Decisions:
        """Return the same decisions with another share of fields that may go deep."""
        return self.with_policy(self.policy.model_copy(update={"budget": budget}))

    def _knows(self, tier: Tier, backends: frozenset[str]) -> bool:
        return self.lanes is None or backends <= {self.lanes[0 if tier == "fast" else 1]}


def decisions_for(fast: str, deep: str) -> Decisions:
    """Return the decisions that ship for a pair of backends; the neutral ones where none were fitted for it."""
    return next((found for file in _FITTED_FILES if (found := _shipped(file)).is_for(fast, deep)), neutral_decisions())


def neutral_decisions() -> Decisions:
    """Return the decisions for lanes that nothing was fitted on."""
    return _shipped(_NEUTRAL_FILE)


def load_decisions(path: Path) -> Decisions:
    """Return the decisions of a JSON file; raise `SettingsError` naming the file and the cause."""

    def read(name: str) -> bytes:
        beside = path.parent / name
        try:
            return beside.read_bytes()
        except OSError as exc:
            raise SettingsError(f"{beside}: cannot read decisions: {exc.strerror}") from exc

    return _parse(path.name, read, str(path))


@cache
def _shipped(file: str) -> Decisions:
    return _parse(file, lambda name: (files("router.data") / name).read_bytes(), file)


def _parse(file: str, read: Callable[[str], bytes], shown: str) -> Decisions:
    values = _object(read(file), shown)
    for part in _PARTS:
        if isinstance(name := values.get(part), str):
            values[part] = _object(read(name), f"{shown}: {part}: {name}")
    try:
        return Decisions.model_validate_json(json.dumps(values))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "decisions"
        raise SettingsError(f"{shown}: {where}: {first['msg']}") from exc


def _object(data: bytes, shown: str) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise SettingsError(f"{shown}: is not valid JSON: {exc}") from exc
    if not isinstance(values, dict):
        raise SettingsError(f"{shown}: must be an object, not {type(values).__name__}")
    return values


def _backends(extraction: Extraction) -> frozenset[str]:
    return frozenset(value.provenance.backend for value in extraction.fields.values() if value.provenance)
