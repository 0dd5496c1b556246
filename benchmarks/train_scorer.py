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
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from backends.ocr.concepts import concept_words
from backends.ocr.pool import generic_columns
from backends.ocr.scorer import SCORER_FILE, FieldModel, Scorer, parse_scorer, save_scorer
from benchmarks.corpus import Labelled, misread, real_documents, reference_documents, synthetic_documents, vocabulary_of
from benchmarks.fit_doctype import fit_document_types
from benchmarks.fit_trees import Example, Outcome, fit_confidence, fit_trees, gather, outcome
from router.evaluate import auroc

SYNTHETIC = {"receipt": 200, "invoice": 360, "bank_statement": 140}
OUTPUT = Path("backends/ocr/data") / SCORER_FILE
SCORERS = Path(".cache/scorers")
FOLDS = 6
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


def examples_of(
    documents: Sequence[Labelled], folds: np.ndarray, tier: str, known: list[frozenset[str]]
) -> list[Example]:
    """Return all examples; each document is described with the vocabulary of the other folds, like an unseen one."""
    jobs = (delayed(_gather)(d, i, tier, known[folds[i]]) for i, d in enumerate(documents))
    return [e for part in Parallel(n_jobs=2, batch_size=8)(jobs) for e in part]


def _gather(document: Labelled, number: int, tier: str, vocabulary: frozenset[str]) -> list[Example]:
    return list(gather(document, number, tier, vocabulary))


def fit_model(name: str, examples: list[Example], folds: np.ndarray, columns: np.ndarray | None) -> list[FieldModel]:
    """Return a field's model for each left-out fold, and the one of all documents last."""
    held = [[e for e in examples if folds[e.document] != fold] for fold in range(FOLDS)]
    trees = [fit_trees(part, columns) for part in [*held, examples]]
    outcomes = [o for e in examples if (o := outcome(e, trees[folds[e.document]], columns))]
    _report(name, examples, outcomes)
    confidence = [fit_confidence([o for o in outcomes if folds[o.document] != fold]) for fold in range(FOLDS)]
    return [FieldModel(t, c) for t, c in zip(trees, [*confidence, fit_confidence(outcomes)], strict=True)]


def _report(name: str, examples: list[Example], outcomes: list[Outcome]) -> None:
    for source in ("receipts", "invoices", "pdfs", "synthetic"):
        there = sum(e.present for e in examples if e.source == source)
        rows = [o for o in outcomes if o.source == source]
        if there and rows:
            right = np.array([o.right for o in rows])
            logit = np.array([o.columns[0] for o in rows])
            ranks = f"{auroc(logit, right):.3f}" if 0 < right.sum() < len(right) else "-"
            print(
                f"  {name:28} {source:9} n {there:4}  right {right.sum() / there:.3f}  AUROC of logit {ranks}",
                flush=True,
            )


def fit_tier(
    tier: str, documents: list[Labelled], folds: np.ndarray, known: list[frozenset[str]]
) -> dict[str, list[FieldModel]]:
    """Return every model of a tier by name, one for each left-out fold and the whole one last."""
    examples = examples_of(documents, folds, tier, known)
    jobs = {
        f"{tier}/{f}": ([e for e in examples if e.field == f], None) for f in dict.fromkeys(e.field for e in examples)
    }
    for kind in dict.fromkeys(e.pool.kind for e in examples):
        rng = np.random.default_rng(0)
        some = [e for e in examples if e.pool.kind == kind and e.present and rng.random() < 0.4]
        jobs[f"{tier}/generic:{kind}"] = (some, generic_columns(kind))
    done = Parallel(n_jobs=2, batch_size=1)(delayed(fit_model)(n, e, folds, c) for n, (e, c) in jobs.items())
    return dict(zip(jobs, done, strict=True))


def _fitted_before() -> dict[str, list[FieldModel]]:
    """Return the models of an earlier run, so that one tier can be fitted anew."""
    files = [SCORERS / f"fold{fold}.npz" for fold in range(FOLDS)] + [SCORERS / "all.npz"]
    if not all(f.is_file() for f in files):
        return {}
    kept = []
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            kept.append(parse_scorer(dict(arrays)).models)
    return {name: [models[name] for models in kept] for name in kept[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT}")
    parser.add_argument("--tiers", default="fast,deep")
    options = parser.parse_args()
    documents = load(options.data)
    folds = folds_of(documents)
    known = vocabularies(documents, folds)
    models = _fitted_before()
    for tier in options.tiers.split(","):
        models |= fit_tier(tier, documents, folds, known)
    details = {"documents": len(documents), "synthetic": SYNTHETIC} | fit_document_types(documents, folds)
    SCORERS.mkdir(parents=True, exist_ok=True)
    for fold in range(FOLDS + 1):
        scorer = Scorer({n: m[fold] for n, m in models.items()}, known[fold], VERSION, details)
        save_scorer(scorer, SCORERS / f"fold{fold}.npz" if fold < FOLDS else SCORERS / "all.npz")
        if fold == FOLDS and options.write:
            save_scorer(scorer, OUTPUT)


if __name__ == "__main__":
    main()
