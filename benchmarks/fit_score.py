"""Fits the weights of the complexity score: does the fast lane get a field of this page wrong?

    python -m benchmarks.fit_score DATA [--copies 4] [--limit 40] [--processes 2] [--write]

DATA holds `receipts` and `invoices`, each with `images` and `keys`. Every page is read as it is and in degraded
copies; a logistic model over the scaled signals is fitted in five folds that keep a document's copies together.
Originals weigh as much as all copies together, so that the score is calibrated for traffic of which half is clean. No
signal of difficulty may count as ease; the report names those that would have. Signals that never vary in the data
(text layer, pages, blank) keep their hand-set coefficients. `--write` replaces the shipped weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold

from benchmarks.score_samples import ORIGINAL, Measurement, measure_all, samples
from router.evaluate import auroc, bootstrap_by_document, brier, ece_equal_mass
from router.score import WEIGHTS_FILE, ScoreWeights, load_weights, score_features

Floats = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "fit_score.json"
SHIPPED = Path(__file__).parent.parent / "router" / "data" / WEIGHTS_FILE
FOLDS = 5
EASIER = {"text_layer", "blank"}
"""Signals that make a page easier; all others are scaled so that higher is harder."""
RIDGE = 1.0
"""Strength of the Gaussian prior on coefficients, in pages."""


def fit(x: Floats, y: Floats, weight: Floats, signs: Floats | None) -> tuple[float, Floats]:
    """Return intercept and coefficients that minimise weighted log loss plus a ridge.

    `x` has shape (pages, signals) in [0,1], `y` is 1 for a page with a wrong field. With `signs` each coefficient keeps
    its sign (+1 or -1) or is 0.
    """
    signed = np.zeros(x.shape[1]) if signs is None else signs

    def loss(theta: Floats) -> tuple[float, Floats]:
        logit = theta[0] + x @ theta[1:]
        error = weight * (1 / (1 + np.exp(-logit)) - y)
        value = (weight * (np.logaddexp(0, logit) - y * logit)).sum() + 0.5 * RIDGE * (theta[1:] ** 2).sum()
        return value, np.concatenate([[error.sum()], x.T @ error + RIDGE * theta[1:]])

    bounds = [(None, None), *((0 if s > 0 else None, 0 if s < 0 else None) for s in signed)]
    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), found.x[1:]


class Pages:
    """Measurements as arrays: scaled signals `x`, label `y`, page weights, documents and which pages are originals."""

    def __init__(self, measured: list[Measurement], weights: ScoreWeights) -> None:
        self.names = [w.name for w in weights.features]
        scaled = [score_features(m.features, weights)[0] for m in measured]
        self.x = np.array([[row[name] for name in self.names] for row in scaled])
        self.y = np.array([float(any(m.wrong.values())) for m in measured])
        self.documents = [m.document for m in measured]
        self.original = np.array([m.kind == ORIGINAL for m in measured])
        self.corpus = np.array([m.corpus for m in measured])
        self.weight = np.where(self.original, max(1, (~self.original).sum() / max(1, self.original.sum())), 1.0)
        self.signs = np.array([-1.0 if name in EASIER else 1.0 for name in self.names])
        self.fitted = np.ptp(self.x, axis=0) > 0

    def fit(self, rows: NDArray[np.intp], signed: bool = True) -> tuple[float, Floats]:
        """Return intercept and coefficients (0 where a signal never varies) of the model on some pages."""
        signs = self.signs[self.fitted] if signed else None
        intercept, some = fit(self.x[rows][:, self.fitted], self.y[rows], self.weight[rows], signs)
        coefficients = np.zeros(len(self.names))
        coefficients[self.fitted] = some
        return intercept, coefficients

    def out_of_fold(self) -> Floats:
        """Return each page's probability from models that never saw its document."""
        probability = np.zeros(len(self.y))
        for train, test in GroupKFold(FOLDS).split(self.x, self.y, self.documents):
            intercept, coefficients = self.fit(train)
            probability[test] = 1 / (1 + np.exp(-(intercept + self.x[test] @ coefficients)))
        return probability


def ranking(pages: Pages, risk: Floats, rows: NDArray[np.bool_]) -> dict[str, object]:
    """Return AUROC of telling failed pages, with its interval over documents, on some of the pages."""
    documents = [d for d, chosen in zip(pages.documents, rows, strict=True) if chosen]
    if not documents:
        return {"pages": 0}
    value = auroc(risk[rows], pages.y[rows])
    interval = bootstrap_by_document(auroc, documents, risk[rows], pages.y[rows], rounds=500)
    return {
        "pages": int(rows.sum()),
        "failed": round(float(pages.y[rows].mean()), 4),
        "auroc": round(value, 4),
        "interval_95": [round(bound, 4) for bound in interval],
    }


def report(pages: Pages, measured: list[Measurement]) -> dict[str, object]:
    """Return the measured table: how the score and each single signal rank pages, calibration, and cost."""
    probability = pages.out_of_fold()
    subsets = {"all": np.ones(len(pages.y), bool), "originals": pages.original, "degraded": ~pages.original}
    subsets |= {name: pages.corpus == name for name in sorted(set(pages.corpus))}
    kinds = np.array([m.kind if "+" not in m.kind else "two at once" for m in measured])
    subsets |= {f"kind {kind}": kinds == kind for kind in sorted(set(kinds) - {ORIGINAL})}
    calibration: dict[str, Callable[[Floats, Floats], float]] = {"ece": ece_equal_mass, "brier": brier}
    free = pages.fit(np.arange(len(pages.y)), signed=False)[1]
    read_ms, score_ms = (np.median([getattr(m, name) for m in measured]) for name in ("read_ms", "score_ms"))
    return {
        "documents": len(set(pages.documents)),
        "score": {name: ranking(pages, probability, rows) for name, rows in subsets.items()},
        "single_signals": {
            name: ranking(pages, sign * pages.x[:, i], subsets["all"])
            for i, (name, sign) in enumerate(zip(pages.names, pages.signs, strict=True))
            if pages.fitted[i]
        },
        "calibration": {
            part: {
                name: round(f(probability[subsets[part]], pages.y[subsets[part]]), 4) for name, f in calibration.items()
            }
            for part in ("all", "originals", "degraded")
            if subsets[part].any()
        },
        "kept_by_hand": [n for n, varies in zip(pages.names, pages.fitted, strict=True) if not varies],
        "wrong_sign_if_free": [n for n, c, s in zip(pages.names, free, pages.signs, strict=True) if c * s < -0.05],
        "score_ms_median": round(float(score_ms), 2),
        "read_ms_median": round(float(read_ms), 1),
        "share_of_reading": round(float(score_ms / read_ms), 4),
    }


def fitted_weights(pages: Pages, base: ScoreWeights, version: str, trained_on: str) -> ScoreWeights:
    """Return the weights fitted on all pages, on the scales of `base`."""
    intercept, coefficients = pages.fit(np.arange(len(pages.y)))
    features = tuple(
        w.model_copy(update={"coefficient": round(float(c), 4)}) if varies else w
        for w, c, varies in zip(base.features, coefficients, pages.fitted, strict=True)
    )
    return ScoreWeights(version=version, trained_on=trained_on, intercept=round(intercept, 4), features=features)


def show(found: dict[str, object], weights: ScoreWeights) -> None:
    """Print the report as tables."""
    console = Console()
    for title in ("score", "single_signals"):
        table = Table(title=title.replace("_", " "), title_justify="left", box=None)
        for column in ("", "pages", "failed", "auroc", "interval_95"):
            table.add_column(column)
        rows: dict[str, dict[str, object]] = found[title]  # type: ignore[assignment]
        for name, row in sorted(
            rows.items(), key=lambda item: (title == "single_signals") * -float(str(item[1]["auroc"]))
        ):
            table.add_row(name, *(str(row.get(c, "")) for c in ("pages", "failed", "auroc", "interval_95")))
        console.print(table)
    console.print({k: v for k, v in found.items() if k not in ("score", "single_signals")})
    console.print({w.name: w.coefficient for w in weights.features} | {"intercept": weights.intercept})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--copies", type=int, default=4, help="degraded copies of each page; from the third on with two damages at once"
    )
    parser.add_argument("--limit", type=int, help="pages of each corpus")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/fit_score.jsonl"))
    parser.add_argument("--signals-again", action="store_true", help="measure signals anew, keep what the lane read")
    parser.add_argument("--version", default="complexity_v1")
    parser.add_argument("--write", action="store_true", help="replace the shipped weights and the results")
    args = parser.parse_args()
    todo = samples(args.data, args.copies, args.limit)
    if not todo:
        parser.error(f"{args.data}: no receipts/images or invoices/images with keys")
    measured = [m for m in measure_all(todo, args.cache, args.data, args.processes, args.signals_again) if m.wrong]
    base = load_weights()
    pages = Pages(measured, base)
    if len(set(pages.y)) < 2 or len(set(pages.documents)) < FOLDS:
        parser.error("too few pages: there must be right and wrong ones, and at least five documents")
    found = report(pages, measured)
    what = f"{found['documents']} documents, {len(measured)} pages"
    weights = fitted_weights(pages, base, args.version, what)
    show(found, weights)
    if args.write:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        SHIPPED.write_text(weights.model_dump_json(indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
