"""The reading process of the document fuzz: opens each case as a caller would, and measures itself and its decoders.

Most processes have tight limits, so that a case takes little; some have the defaults. The bounds that are checked are
those of the limits, with what an interpreter and its libraries take by themselves.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import time
import traceback
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.fuzz_cases import Case, corpus, make_case
from router.documents import Limits, open_document, pdf_process, picture_process
from router.errors import DocumentError

CASE_TIMEOUT_S = 400
_MAX_OPEN_FILES = 100
_CALLER_BYTES = 250_000_000
"""An interpreter with this package, the corpus and one case before it is opened."""
TIGHT = Limits(
    max_pages=20,
    max_page_pixels=20_000_000,
    max_picture_pixels=4_000_000,
    max_render_pixels=2_000_000,
    page_timeout_s=20,
    document_timeout_s=120,
    worker_memory_bytes=400_000_000,
    picture_memory_bytes=250_000_000,
)


def read_cases(answers: Connection, first_seed: int, step: int, generous: bool) -> None:
    """Read the cases of every `step`th seed and send an answer for each, until this process is ended."""
    documents = corpus()
    for seed in count(first_seed, step):
        answers.send(read_one(make_case(seed, documents), generous))


def read_one(case: Case, generous: bool) -> dict[str, Any]:
    """Return what became of a case: outcome, seconds, peaks in bytes, and a finding where there is one."""
    limits, began = Limits() if generous else TIGHT, time.monotonic()
    outcome, finding = "read", ""
    try:
        _read_whole(case.data, limits)
    except DocumentError as exc:
        outcome = type(exc).__name__
        finding = "" if _is_clear(str(exc)) else f"an unclear message: {exc!r}"
    except Exception:
        outcome, finding = "exception", traceback.format_exc()
    gc.collect()
    seconds, peaks = time.monotonic() - began, _peak_bytes()
    kind = "generous" if generous else "tight"
    return {
        "seed": case.seed,
        "outcome": outcome,
        "finding": finding or _beyond(peaks, limits, seconds, _open_files()),
        "seconds": round(seconds, 3),
        "peak_bytes": {f"{name}, {kind} limits": peak for name, peak in peaks.items()},
    }


def _read_whole(data: bytes, limits: Limits) -> None:
    with open_document(data, "fuzz", limits) as opened:
        pages = opened.document.pages
        if not pages:
            raise AssertionError("a document without pages")
        for page in pages:
            if opened.image(page.number).shape != (page.height_px, page.width_px, 3):
                raise AssertionError("a picture of another size than its page")


def _is_clear(message: str) -> bool:
    return 10 < len(message) < 500 and message.isprintable() and ";" in message


def _peak_bytes() -> dict[str, int]:
    """Return the most memory of this process, and of the decoders that live and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    own = _high_water(os.getpid())
    pools = {"picture decoder": picture_process.POOL, "PDF decoder": pdf_process.POOL}
    peaks = {name: max((_high_water(one.pid) for one in pool._idle), default=0) for name, pool in pools.items()}
    return {"caller": own, "ended decoder": ended, **peaks}


def _high_water(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0  # noqa: PTH208


def _beyond(peaks: dict[str, int], limits: Limits, seconds: float, files: int) -> str:
    """Return which bound was exceeded, empty where none was."""
    pictures = 3 * max(limits.max_picture_pixels, limits.max_render_pixels)
    bounds = {
        "caller": _CALLER_BYTES + limits.max_cached_bytes + 3 * pictures,
        "picture decoder": limits.picture_memory_bytes,
        "PDF decoder": limits.worker_memory_bytes,
        "ended decoder": max(limits.worker_memory_bytes, limits.picture_memory_bytes),
    }
    for name, peak in peaks.items():
        if peak > bounds[name]:
            return f"the {name} took {peak / 1e6:.0f} MB, its bound is {bounds[name] / 1e6:.0f} MB"
    if files > _MAX_OPEN_FILES:
        return f"{files} files are open"
    return f"took {seconds:.0f} s" if seconds > CASE_TIMEOUT_S / 2 else ""
