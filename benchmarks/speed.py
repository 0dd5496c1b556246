"""How fast the lanes are, as ratios measured in one run.

    python -m benchmarks.speed DATA [--limit N] [--rounds N]

prints a table and writes benchmarks/results/speed.json. Every comparison is interleaved document by document
(A B A B ...) and takes the median of its rounds, because machines are shared and clocks drift; believe the ratios, not
the milliseconds. Work on one core is counted in CPU seconds of this process, work of several processes in wall-clock
seconds.

RapidOCR runs as it ships (`RapidOCR()`: ONNX Runtime, PP-OCRv6 small, all cores) from the file to lines of text; a lane
runs from the file to fields with confidences, so it does more. Comparing with OpenVINO needs `pip install openvino`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
from rapidocr import EngineType, RapidOCR
from rich.console import Console
from rich.progress import track
from rich.table import Table

from backends.base import ExtractionRequest
from backends.ocr.backend import DEEP_COST, OcrLane
from backends.ocr.layer_check import LayerCheck
from backends.ocr.reading import OcrReader
from benchmarks.readings import images_of
from benchmarks.speed_memory import long_pdf_memory
from router.documents import OpenedDocument, read_file
from router.schema import builtin
from router.score import score_document

OUTPUT = Path("benchmarks/results/speed.json")
SAMPLES = Path("samples")
_QUIET = {"Global.log_level": "critical"}
_ONE_THREAD = {
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "EngineConfig.openvino.inference_num_threads": 1,
}
Clock = Callable[[], float]
Report = dict[str, Any]


def timed(work: Callable[[], object], clock: Clock = time.process_time) -> float:
    """Return the seconds that one call takes."""
    started = clock()
    work()
    return clock() - started


def interleaved(
    jobs: dict[str, Callable[[], object]], rounds: int, clock: Clock = time.process_time
) -> dict[str, float]:
    """Return each job's median seconds over rounds in which all jobs take turns."""
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            spent[name].append(timed(job, clock))
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def summed(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the sums of columns."""
    total: dict[str, float] = {}
    for row in rows:
        for name, seconds in row.items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def schema_of(path: Path) -> str:
    return "receipt" if path.parent.parent.name == "receipts" else "invoice"


def extract(opened: OpenedDocument, schema: str, reader: OcrReader, thorough: bool = False) -> None:
    """Read one opened document with a lane."""
    lane = OcrLane("ocr-deep" if thorough else "ocr-fast", thorough, reader, check=LayerCheck())
    lane.extract(ExtractionRequest(opened.document, opened, builtin(schema), "deep" if thorough else "fast"))


def read_fast(path: Path) -> None:
    """Take one file through the fast lane, forgetting what was read before."""
    with read_file(path) as opened:
        extract(opened, schema_of(path), OcrReader())


def one_core(paths: Sequence[Path], rounds: int) -> Report:
    """Compare RapidOCR limited to one thread with the fast lane, in CPU time."""
    rapid = RapidOCR(params=_QUIET | _ONE_THREAD)
    by_kind: dict[str, list[dict[str, float]]] = {}
    for path in track(paths, "one core"):
        jobs = {"rapidocr": lambda p=path: rapid(str(p)), "fast": lambda p=path: read_fast(p)}
        by_kind.setdefault(path.parent.parent.name, []).append(interleaved(jobs, rounds))
    report: Report = {}
    everything = [row for rows in by_kind.values() for row in rows]
    for kind, rows in {**by_kind, "all": everything}.items():
        total = summed(rows)
        report[kind] = {
            "ratio": total["rapidocr"] / total["fast"],
            "median_ratio": statistics.median(r["rapidocr"] / r["fast"] for r in rows),
            "fast_s_a_document": total["fast"] / len(rows),
        }
    return report


_worker: Callable[[Path], object] | None = None


def _start_rapidocr() -> None:
    global _worker
    rapid = RapidOCR(params=_QUIET)
    _worker = lambda path: rapid(str(path))  # noqa: E731


def _start_lane() -> None:
    global _worker
    cv2.setNumThreads(1)  # as workers.local does: the processes are the parallelism
    _worker = read_fast


def _work(path: Path) -> None:
    assert _worker is not None
    _worker(path)


def whole_machine(paths: Sequence[Path], rounds: int) -> Report:
    """Compare one RapidOCR process with all threads with one process of the fast lane a core, as `docroute run`."""
    cores = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, _start_rapidocr) as theirs, context.Pool(cores, _start_lane) as ours:
        jobs: dict[str, Callable[[], object]] = {
            "rapidocr": lambda: theirs.map(_work, paths, chunksize=1),
            "fast": lambda: ours.map(_work, paths, chunksize=1),
        }
        ours.map(_work, [paths[0]] * 2 * cores, chunksize=1)  # models load with the first document
        theirs.map(_work, paths[:1])
        spent = interleaved(jobs, rounds, time.perf_counter)
    return {
        "ratio": spent["rapidocr"] / spent["fast"],
        "cores": cores,
        "documents_an_hour": round(3600 * len(paths) / spent["fast"]),
        "rapidocr_documents_an_hour": round(3600 * len(paths) / spent["rapidocr"]),
    }


def engines(paths: Sequence[Path], rounds: int) -> Report:
    """Compare RapidOCR's two engines on one thread: detection and recognition, ONNX Runtime's time by OpenVINO's."""
    if importlib.util.find_spec("openvino") is None:
        return {"skipped": "openvino is not installed"}
    other = {f"{part}.engine_type": EngineType.OPENVINO for part in ("Det", "Cls", "Rec")}
    both = {
        "onnxruntime": RapidOCR(params=_QUIET | _ONE_THREAD),
        "openvino": RapidOCR(params=_QUIET | _ONE_THREAD | other),
    }
    spent: dict[str, list[float]] = {f"{step}/{name}": [] for step in ("detection", "recognition") for name in both}
    for path in track(paths, "engines"):
        for number in range(rounds + 1):
            for name, rapid in both.items():
                steps = rapid(str(path)).elapse_list
                if number:  # OpenVINO compiles anew for every shape
                    spent[f"detection/{name}"].append(steps[0])
                    spent[f"recognition/{name}"].append(steps[2])
    total = {name: sum(seconds) for name, seconds in spent.items()}
    return {s: total[f"{s}/onnxruntime"] / total[f"{s}/openvino"] for s in ("detection", "recognition")}


def deep_cost(paths: Sequence[Path], rounds: int) -> Report:
    """Compare the deep lane alone, and after the fast one in the same process, with the fast lane."""
    total = summed(_lane_seconds(path, rounds) for path in track(paths, "deep"))
    alone, after = total["deep"] / total["fast"], total["escalated"] / total["fast"]
    return {"deep_by_fast": alone, "escalation_by_fast": after, "set_as": DEEP_COST}


def _lane_seconds(path: Path, rounds: int) -> dict[str, float]:
    schema = schema_of(path)
    kept: list[OcrReader] = []
    with read_file(path) as opened:
        opened.image(1)

        def fast() -> None:
            kept[:] = [OcrReader()]
            extract(opened, schema, kept[0])

        jobs: dict[str, Callable[[], object]] = {
            "fast": fast,
            "escalated": lambda: extract(opened, schema, kept[0], thorough=True),
            "deep": lambda: extract(opened, schema, OcrReader(), thorough=True),
        }
        return interleaved(jobs, rounds)


def score_cost(paths: Sequence[Path], rounds: int) -> Report:
    """Time the score of 200-dpi A4 scans on one core, and its share of the fast lane's time."""
    rows = []
    for path in track([p for p in paths if schema_of(p) == "invoice"], "score"):
        with read_file(path) as opened:
            opened.image(1)
            jobs: dict[str, Callable[[], object]] = {
                "score": lambda o=opened: score_document(o.document, o),
                "fast": lambda o=opened: extract(o, "invoice", OcrReader()),
            }
            rows.append(interleaved(jobs, rounds))
    total = summed(rows)
    return {
        "median_ms": 1000 * statistics.median(r["score"] for r in rows),
        "share_of_fast": total["score"] / total["fast"],
    }


def digital_pages(data: Path, rounds: int) -> Report:
    """Time digital PDFs through opening, score and the fast lane, warm, in wall-clock milliseconds a page."""
    report: Report = {}

    def run(path: Path) -> int:
        with read_file(path) as opened:
            score_document(opened.document, opened)
            extract(opened, "bank_statement" if path.stem.startswith("statement") else "invoice", OcrReader())
            return len(opened.document.pages)

    for path in [*sorted((data / "pdfs").glob("*.pdf")), *sorted(SAMPLES.glob("*.pdf"))]:
        pages = run(path)
        spent = interleaved({"all": lambda p=path: run(p)}, 2 * rounds + 1, time.perf_counter)
        report[path.stem] = 1000 * spent["all"] / pages
    return {"median_ms": statistics.median(report.values()), "worst_ms": max(report.values()), "by_file_ms": report}


def some(paths: Sequence[Path], count: int) -> list[Path]:
    """Return `count` paths spread evenly over the list."""
    return list(paths) if len(paths) <= count else [paths[i * len(paths) // count] for i in range(count)]


def rounded(value: Any) -> Any:
    """Return the report with four digits behind the point."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def show(report: Report) -> None:
    table = Table("what", "number", title="speed")
    for part, numbers in report.items():
        for name, number in numbers.items():
            for key, value in (number if isinstance(number, dict) else {"": number}).items():
                text = f"{value:.3g}" if isinstance(value, float) else str(value)
                table.add_row(f"{part} {name} {key}".strip(), text)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, default=12, help="receipts, and as many invoices (default 12)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    scans = [p for p in images_of(options.data) if p.suffix != ".pdf"]
    kinds = [[p for p in scans if schema_of(p) == kind] for kind in ("receipt", "invoice")]
    paths = [p for pair in zip(*(some(k, options.limit) for k in kinds), strict=False) for p in pair]
    read_fast(paths[0])
    report = {
        "one_core": one_core(paths, options.rounds),
        "whole_machine": whole_machine(paths, options.rounds),
        "openvino": engines(paths[:8], options.rounds),
        "deep": deep_cost(paths, options.rounds),
        "score_a4": score_cost(paths, options.rounds),
        "digital_page": digital_pages(options.data, options.rounds),
        "long_pdf": long_pdf_memory(),
    }
    show(report)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(rounded(report), indent=2) + "\n")


if __name__ == "__main__":
    main()
