"""Signals to one number: how likely the fast lane gets at least one field of the document's hardest page wrong.

The weights are data with a version (`router/data/complexity_v1.json`), fitted by `benchmarks/fit_score.py`. Must not
know thresholds, costs or lanes: what follows from the number is decided in `router.policy`.
"""

from __future__ import annotations

import math
import time
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from router.errors import EmptyDocumentError, SettingsError
from router.features import FEATURES, document_features, needs_picture, page_features
from router.types import ComplexityScore, Document, Frozen, Page, PageSource

INTERCEPT = "intercept"
MAX_SCORED_PAGES = 4
WEIGHTS_FILE = "complexity_v1.json"


class FeatureWeight(Frozen):
    """How one signal counts: from 0 at `easy` to 1 at `hard`, clipped beyond, times `coefficient` in logit units."""

    name: str
    easy: float
    hard: float
    coefficient: float

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name not in FEATURES:
            raise ValueError(f"no feature {self.name!r}; there are: {', '.join(FEATURES)}")
        if self.easy == self.hard:
            raise ValueError(f"feature {self.name!r}: easy and hard are the same value")
        return self

    def scaled(self, value: float) -> float:
        """Return a value in the signal's own unit as a difficulty in [0,1]."""
        return min(1.0, max(0.0, (value - self.easy) / (self.hard - self.easy)))

    def unscaled(self, difficulty: float) -> float:
        """Return the value in the signal's own unit that a difficulty in [0,1] stands for."""
        return self.easy + difficulty * (self.hard - self.easy)


class ScoreWeights(Frozen):
    """A logistic model over signals. `trained_on` says on what it was fitted."""

    version: str
    trained_on: str = ""
    intercept: float
    features: tuple[FeatureWeight, ...] = Field(min_length=1)

    def feature(self, name: str) -> FeatureWeight | None:
        """Return the weight of one signal, None when the model does not use it."""
        return next((weight for weight in self.features if weight.name == name), None)


def parse_weights(data: bytes | str, filename: str) -> ScoreWeights:
    """Return the weights in JSON text; raise `SettingsError` naming the file and the first fault."""
    try:
        return ScoreWeights.model_validate_json(data)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "weights"
        raise SettingsError(f"{filename}: {where}: {first['msg']}") from exc


def load_weights(path: Path | None = None) -> ScoreWeights:
    """Return the weights of a JSON file, or those that ship; raise `SettingsError`."""
    if path is None:
        return _shipped()
    try:
        return parse_weights(path.read_bytes(), str(path))
    except OSError as exc:
        raise SettingsError(f"{path}: cannot read score weights: {exc.strerror}") from exc


@cache
def _shipped() -> ScoreWeights:
    return parse_weights((files("router.data") / WEIGHTS_FILE).read_bytes(), WEIGHTS_FILE)


def scored_pages(document: Document, max_pages: int = MAX_SCORED_PAGES) -> tuple[Page, ...]:
    """Return the pages that stand for a document: first, last and evenly spaced between, blank ones aside."""
    pages = [page for page in document.pages if not page.blank] or list(document.pages)
    if len(pages) <= max_pages:
        return tuple(pages)
    last = len(pages) - 1
    return tuple(pages[round(i * last / max(1, max_pages - 1))] for i in range(max_pages))


def score_document(
    document: Document, pages: PageSource, weights: ScoreWeights | None = None, max_pages: int = MAX_SCORED_PAGES
) -> ComplexityScore:
    """Return how hard a document is: the score of the hardest of at most `max_pages` of its pages.

    `contributions` hold one term for each feature and the intercept; their sum is the logit of `value`. `elapsed_ms` is
    the scoring alone, without rendering. Pages with a usable text layer are not rendered. Raises what `pages.image`
    raises.
    """
    chosen = scored_pages(document, max_pages)
    if not chosen:
        raise EmptyDocumentError("the document has no pages")
    used = weights or load_weights()
    elapsed_s, scores = 0.0, []
    for page in chosen:
        rgb = pages.image(page.number) if needs_picture(page) else None
        started = time.perf_counter()
        scores.append(_score_page({**document_features(document), **page_features(rgb, page)}, page.number, used))
        elapsed_s += time.perf_counter() - started
    hardest = max(scores, key=lambda score: score.value)
    return hardest.model_copy(update={"elapsed_ms": elapsed_s * 1000.0})


def score_features(values: dict[str, float], weights: ScoreWeights) -> tuple[dict[str, float], dict[str, float]]:
    """Return the scaled features in [0,1] and their signed contributions in logit units, the intercept among these.

    A signal that could not be measured counts as easy.
    """
    features = {w.name: w.scaled(values.get(w.name, w.easy)) for w in weights.features}
    contributions = {w.name: w.coefficient * features[w.name] for w in weights.features}
    return features, {INTERCEPT: weights.intercept, **contributions}


def logistic(logit: float) -> float:
    """Return the probability of a logit, for any size of it."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    return math.exp(logit) / (1.0 + math.exp(logit))


def _score_page(values: dict[str, float], number: int, weights: ScoreWeights) -> ComplexityScore:
    features, contributions = score_features(values, weights)
    return ComplexityScore(
        value=logistic(math.fsum(contributions.values())),
        features=features,
        contributions=contributions,
        hardest_page=number,
        weights_version=weights.version,
        elapsed_ms=0.0,
    )
