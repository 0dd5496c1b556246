"""Measures the table reader: F1 over rows, a row counting only when all its cells are right.

    python -m benchmarks.tables synth --kind invoice --seeds 0:200
    python -m benchmarks.tables keys KEYS_FOLDER READINGS_FOLDER

`synth` reads the exact words of synthetic documents, so that it measures the table reader alone. `keys` takes page
readings pickled as (image path, PageReading) and keys with `line_items`. Descriptions compare by letters and digits.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from backends.ocr.layout import PageLayout, build_layout, segments_from_words
from backends.ocr.tables import TableReading, read_table
from benchmarks import synth
from router.arithmetic import decimal_of
from router.normalise import fold
from router.schema import FieldSpec, builtin
from router.types import Cell

FIELDS = {"invoice": "line_items", "receipt": "line_items", "bank_statement": "transactions"}
Row = tuple[str, ...]


def comparable(values: dict[str, str | None], spec: FieldSpec, columns: Sequence[str]) -> Row:
    """Return a row as text that is equal for equal rows: amounts as shortest decimals, text by letters and digits."""
    return tuple(_comparable(values.get(c.name), c.kind) for c in spec.columns if c.name in columns)


def _comparable(value: str | None, kind: str) -> str:
    if value is None:
        return ""
    number = decimal_of(value) if kind == "amount" else None
    if number is not None:
        return f"{(number + Decimal(0)).normalize():f}"
    return fold(value) if kind == "text" else value


def values_of(row: dict[str, Cell]) -> dict[str, str | None]:
    return {name: cell.value for name, cell in row.items()}


def compare(read: Sequence[Row], key: Sequence[Row]) -> tuple[int, int, int]:
    """Return (right rows, rows read, rows in the key)."""
    right = sum((Counter(read) & Counter(key)).values())
    return right, len(read), len(key)


def pages_of(document: synth.SynthDocument) -> list[PageLayout]:
    """Return the layouts of a synthetic document's exact words."""
    layouts = []
    for number, page in enumerate(document.pages, 1):
        height = page.height_px / page.width_px
        layouts.append(build_layout(number, height, segments_from_words(page.words, number, height), "text"))
    return layouts


Case = tuple[str, list[PageLayout], list[dict[str, str | None]]]


def synth_cases(kind: str, seeds: range) -> Iterator[Case]:
    for seed in seeds:
        document = synth.make_document(kind, seed)
        yield f"{kind}/{seed}/{document.layout}", pages_of(document), document.key[FIELDS[kind]]


def key_cases(keys: Path, readings: Path) -> Iterator[Case]:
    for path in sorted(keys.glob("*.json")):
        pickled = readings / f"{path.stem}.pkl"
        if pickled.exists():
            _, reading = pickle.loads(pickled.read_bytes())
            yield path.stem, [reading.layout(0)], json.loads(path.read_text("utf-8"))["line_items"]


def measure(cases: Iterator[Case], spec: FieldSpec, show: bool) -> dict[str, Any]:
    """Return precision, recall and F1 over rows, the share of documents all right, and milliseconds a page."""
    totals, elapsed, pages, whole, documents = [0, 0, 0], 0.0, 0, 0, 0
    scored: list[tuple[float, bool]] = []
    for name, layouts, key in cases:
        start = time.perf_counter()
        reading = read_table(layouts, spec)
        elapsed += time.perf_counter() - start
        columns = sorted({c for row in key for c in row})
        wanted = [comparable(row, spec, columns) for row in key]
        found = [comparable(values_of(r), spec, columns) for r in (reading.rows if reading else ())]
        counts = compare(found, wanted)
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        perfect = counts[0] == counts[1] == counts[2]
        whole, documents, pages = whole + perfect, documents + 1, pages + len(layouts)
        scored.append((reading.confidence if reading else 0.0, perfect))
        if show and not perfect:
            report(name, reading, found, wanted)
    right, read, keyed = totals
    return {
        "documents": documents,
        "precision": round(right / max(read, 1), 4),
        "recall": round(right / max(keyed, 1), 4),
        "f1": round(2 * right / max(read + keyed, 1), 4),
        "documents_all_right": round(whole / max(documents, 1), 4),
        "auroc": auroc(scored),
        "mean_confidence": round(sum(c for c, _ in scored) / max(len(scored), 1), 4),
        "ms_a_page": round(1000 * elapsed / max(pages, 1), 2),
    }


def auroc(scored: Sequence[tuple[float, bool]]) -> float | None:
    """Return how often a right table has the higher confidence of a right and a wrong one; None with one kind only."""
    right, wrong = [c for c, ok in scored if ok], [c for c, ok in scored if not ok]
    pairs = [(a > b) + 0.5 * (a == b) for a in right for b in wrong]
    return round(sum(pairs) / len(pairs), 4) if pairs else None


def report(name: str, reading: TableReading | None, found: Sequence[Row], wanted: Sequence[Row]) -> None:
    print(name, "nothing read" if reading is None else f"{reading.confidence:.2f} {reading.checked} {reading.summed}")
    for row in (Counter(found) - Counter(wanted)).elements():
        print("   read ", row)
    for row in (Counter(wanted) - Counter(found)).elements():
        print("   key  ", row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--show", action="store_true", help="print what is wrong")
    source = parser.add_subparsers(dest="source", required=True)
    drawn = source.add_parser("synth")
    drawn.add_argument("--kind", choices=list(FIELDS), default="invoice")
    drawn.add_argument("--seeds", default="0:100", help="first:end")
    keyed = source.add_parser("keys")
    keyed.add_argument("keys", type=Path)
    keyed.add_argument("readings", type=Path)
    args = parser.parse_args()
    if args.source == "synth":
        first, end = (int(n) for n in args.seeds.split(":"))
        cases, kind = synth_cases(args.kind, range(first, end)), args.kind
    else:
        cases, kind = key_cases(args.keys, args.readings), "invoice"
    json.dump(measure(cases, builtin(kind).field(FIELDS[kind]), args.show), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
