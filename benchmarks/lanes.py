"""Measures whole lanes on real documents that no fitted part has seen: accuracy, confidence and what escalation buys.

    python -m benchmarks.lanes DATA [--json benchmarks/results/lanes.json]

Variants: fast alone, deep alone, both merged for every field, and `auto`, the fast lane with the fields that the policy
escalates. Candidate scorers, fusion weights and policies are each fitted without the document's fold; with `--shipped`
the fusion weights and the policy of the package are used instead. Absent fields count where a key says null. Tables are
measured by `benchmarks.tables`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.fit_confidence import cross_fitted
from benchmarks.fit_policy import cross_fitted_policies
from benchmarks.lane_metrics import accuracy, at_budget, confidence_quality, cost_quality
from benchmarks.lane_outcomes import VARIANTS, Answer, Outcome, field_outcomes, with_policies
from benchmarks.lane_readings import CACHE, lane_readings
from benchmarks.lane_tables import show
from benchmarks.train_scorer import FOLDS
from router.confidence import default_weights
from router.policy import load_policy

SOURCES = ("receipts", "invoices", "pdfs")
OUTPUT = Path("benchmarks/results/lanes.json")
_KEY_NAMES = {"invoices": {"gst_amount": "tax_amount"}}


def measure(data: Path, shipped: bool, rounds: int) -> tuple[dict[str, object], list[Outcome]]:
    """Return all numbers by block, and the outcomes they are made of."""
    readings = lane_readings(data)
    weights = [default_weights()] * FOLDS if shipped else cross_fitted(readings)
    outcomes = field_outcomes(readings, weights)
    policies = [load_policy()] * FOLDS if shipped else cross_fitted_policies(readings, outcomes, weights)
    outcomes, sent = with_policies(readings, outcomes, weights, policies)
    groups = {s: [o for o in outcomes if o.source == s] for s in SOURCES} | {"all": outcomes}
    blocks = {
        "accuracy": {s: accuracy(groups[s]) for s in SOURCES},
        "confidence": {
            s: {v: confidence_quality(groups[s], v, rounds) for v in VARIANTS} for s in ("receipts", "invoices", "all")
        },
        "cost_quality": {s: cost_quality(groups[s]) for s in ("receipts", "all")},
        "at_budget": {s: at_budget(groups[s]) for s in ("receipts", "invoices", "all")},
        "sent": {
            "fields_of_all_but_tables": sent.escalated / sent.fields,
            "documents": sent.escalated_documents / sent.documents,
        },
    }
    return blocks, outcomes


def write_predictions(outcomes: Iterable[Outcome], filenames: dict[tuple[str, str], str], folder: Path) -> None:
    """Write one JSON-lines file a source and variant, with the keys' own field names."""
    rows: dict[tuple[str, str], dict[str, dict[str, object]]] = {}
    for o in outcomes:
        name = _KEY_NAMES.get(o.source, {}).get(o.field, o.field)
        for variant, answer in o.answers.items():
            fields = rows.setdefault((o.source, variant), {}).setdefault(filenames[o.source, o.document], {})
            fields[name] = {"value": answer.value, "confidence": answer.confidence}
    folder.mkdir(parents=True, exist_ok=True)
    for (source, variant), documents in rows.items():
        lines = [json.dumps({"file": file, "fields": fields}) for file, fields in documents.items()]
        (folder / f"{source}-{variant}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def faults(outcomes: Sequence[Outcome]) -> list[str]:
    """Return one line for each field that fast, deep or merged got wrong."""
    return [
        f"{o.source}/{o.document} {o.field} want {o.want!r}: " + "; ".join(_told(v, a) for v, a in o.answers.items())
        for o in outcomes
        if not all(o.answers[v].right for v in VARIANTS)
    ]


def _told(variant: str, answer: Answer) -> str:
    return f"{variant} {'ok' if answer.right else repr(answer.value)} {answer.confidence:.2f} {answer.rule}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path, default=OUTPUT)
    parser.add_argument("--shipped", action="store_true", help="use the package's fusion weights and policy")
    parser.add_argument("--rounds", type=int, default=300, help="bootstrap rounds")
    parser.add_argument("--predictions", type=Path, default=CACHE / "predictions")
    parser.add_argument("--faults", action="store_true", help="list every wrong field")
    options = parser.parse_args()
    blocks, outcomes = measure(options.data, options.shipped, options.rounds)
    show(blocks, Console(width=150))
    names = {(r.source, r.name): r.filename for r in lane_readings(options.data)}
    write_predictions(outcomes, names, options.predictions)
    if options.faults:
        print("\n".join(faults(outcomes)))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(_rounded(blocks), indent=1) + "\n", "utf-8")


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
