"""Fits the candidate scorer of the OCR lanes and writes backends/ocr/data/scorer_v1.npz.

    python -m benchmarks.train_scorer DATA --write

DATA holds receipts/, invoices/ and pdfs/ with keys. Trained on real documents (read by OCR, kept in .cache), on
reference text lines of receipts without a picture, and on synthetic documents. Scorers that have not seen a fold are
kept in .cache/scorers, so that `benchmarks.lanes` measures whole lanes on documents that neither trees, confidence
model nor vocabulary saw: five folds by document for receipts and PDFs, one layout left out at a time for invoices.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from backends.ocr.concepts import concept_words
from backends.ocr.pool import generic_columns
from backends.ocr.scorer import SCORER_FILE, FieldModel, Scorer, save_scorer
from backends.ocr.trees import Trees
from benchmarks.corpus import Labelled, misread, real_documents, reference_documents, synthetic_documents, vocabulary_of
from benchmarks.fit_doctype import fit_document_types
from benchmarks.fit_field_confidence import Outcome, fit_confidences, outcome
from benchmarks.fit_trees import Example, fit_trees, gather
from router.evaluate import auroc
from router.types import Tier

SYNTHETIC = {"receipt": 200, "invoice": 360, "bank_statement": 140}
OUTPUT = Path("backends/ocr/data") / SCORER_FILE
SCORERS = Path(".cache/scorers")
FOLDS = 6
TIERS: tuple[Tier, ...] = ("fast", "deep")
_GENERIC_SHARE = 0.3
VERSION = "1"


def load(data: Path) -> list[Labelled]:
    """Return every training document."""
    reference = reference_documents(data)
    damaged = [misread(d, seed) for seed, d in enumerate(reference)]
    return [*real_documents(data), *reference, *damaged, *synthetic_documents(SYNTHETIC)]


def folds_of(documents: Sequence[Labelled], count: int = FOLDS, seed: int = 0) -> np.ndarray:
    """Return each document's fold; groups (a receipt, an invoice layout) stay together, sources are spread evenly."""
    rng = np.random.default_rng(seed)
    fold_of: dict[str, int] = {}
    for source in ("receipts", "invoices", "pdfs", "synthetic"):
        groups = sorted({d.group for d in documents if d.group.startswith(source)})
        for position, i in enumerate(rng.permutation(len(groups))):
            fold_of[groups[i]] = position % count
    return np.array([fold_of[d.group] for d in documents])


def vocabularies(documents: Sequence[Labelled], folds: np.ndarray) -> list[frozenset[str]]:
    """Return for each fold the vocabulary of all other folds, and the whole one last."""
    words = concept_words()
    parts = [[d for d, f in zip(documents, folds, strict=True) if f != fold] for fold in range(FOLDS)]
    return [vocabulary_of(part, words) for part in [*parts, list(documents)]]


def examples_of(documents: Sequence[Labelled], folds: np.ndarray, known: list[frozenset[str]]) -> list[Example]:
    """Return all examples; every document is described with the vocabulary of the other folds, as an unseen one is."""
    jobs = (delayed(_gather)(d, i, known[folds[i]], _several_times(d, i)) for i, d in enumerate(documents))
    return [e for part in Parallel(n_jobs=2, batch_size=8)(jobs) for e in part]


def _several_times(document: Labelled, number: int) -> bool:
    """Most synthetic documents are read once only, to save time."""
    return document.source not in ("reference", "synthetic") or (document.source == "synthetic" and number % 4 == 1)


def _gather(document: Labelled, number: int, vocabulary: frozenset[str], deep: bool) -> list[Example]:
    return list(gather(document, number, vocabulary, deep))


@dataclass(frozen=True)
class Fitted:
    """A field's trees for each left-out fold, those of all documents last, and what they chose unseen in each tier."""

    trees: list[Trees]
    outcomes: dict[Tier, list[Outcome]]
    generic: bool


def fit_field(name: str, examples: list[Example], folds: np.ndarray, columns: np.ndarray | None) -> Fitted:
    """Return what is fitted on a field's examples alone."""
    held = [[e for e in examples if folds[e.document] != fold] for fold in range(FOLDS)]
    trees = [fit_trees(part, columns) for part in [*held, examples]]
    rate = [FieldModel(t, {}, columns is not None) for t in trees]
    outcomes: dict[Tier, list[Outcome]] = {}
    for tier in TIERS:
        found = [outcome(e, rate[folds[e.document]], tier, name) for e in examples]
        outcomes[tier] = [o for o in found if o is not None]
        _report(f"{tier}/{name}", examples, outcomes[tier])
    return Fitted(trees, outcomes, columns is not None)


def with_confidence(fitted: dict[str, Fitted], folds: np.ndarray) -> list[dict[str, FieldModel]]:
    """Return all field models for each left-out fold, and those of all documents last."""
    models = []
    for fold in range(FOLDS + 1):
        weights: dict[Tier, dict[str, np.ndarray]] = {}
        for tier in TIERS:
            seen = [o for f in fitted.values() for o in f.outcomes[tier] if folds[o.document] != fold]
            weights[tier] = fit_confidences(seen, fitted)
        models.append(
            {n: FieldModel(f.trees[fold], {t: weights[t][n] for t in TIERS}, f.generic) for n, f in fitted.items()}
        )
    return models


def _report(name: str, examples: list[Example], outcomes: list[Outcome]) -> None:
    for source in ("receipts", "invoices", "pdfs", "synthetic"):
        keyed = {e.document for e in examples if e.source == source and e.want is not None}
        rows = [o for o in outcomes if o.document in keyed]
        if rows:
            right = np.array([o.right for o in rows])
            logit = np.array([o.columns[0] for o in rows])
            ranks = f"{auroc(logit, right):.3f}" if 0 < right.sum() < len(right) else "-"
            share = right.sum() / (len(keyed) if source != "synthetic" else len(rows))
            print(f"  {name:28} {source:9} n {len(rows):4}  right {share:.3f}  AUROC of logit {ranks}", flush=True)


def fit_all(documents: list[Labelled], folds: np.ndarray, known: list[frozenset[str]]) -> dict[str, Fitted]:
    """Return what is fitted for every field, and for every kind of field under `generic:KIND`."""
    examples = examples_of(documents, folds, known)
    jobs = {f: ([e for e in examples if e.field == f], None) for f in dict.fromkeys(e.field for e in examples)}
    for kind in dict.fromkeys(e.fast.pool.kind for e in examples):
        rng = np.random.default_rng(0)
        some = [
            e for e in examples if e.fast.pool.kind == kind and e.want is not None and rng.random() < _GENERIC_SHARE
        ]
        jobs[f"generic:{kind}"] = (some, generic_columns(kind))
    done = Parallel(n_jobs=2, batch_size=1)(delayed(fit_field)(n, e, folds, c) for n, (e, c) in jobs.items())
    return dict(zip(jobs, done, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT}")
    options = parser.parse_args()
    documents = load(options.data)
    folds = folds_of(documents)
    known = vocabularies(documents, folds)
    models = with_confidence(fit_all(documents, folds, known), folds)
    details = {"documents": len(documents), "synthetic": SYNTHETIC} | fit_document_types(documents, folds)
    SCORERS.mkdir(parents=True, exist_ok=True)
    for fold in range(FOLDS + 1):
        scorer = Scorer(models[fold], known[fold], VERSION, details)
        save_scorer(scorer, SCORERS / f"fold{fold}.npz" if fold < FOLDS else SCORERS / "all.npz")
        if fold == FOLDS and options.write:
            save_scorer(scorer, OUTPUT)


if __name__ == "__main__":
    main()
